"""Who is right how often, and how sure one can be that a merge beats the best single model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...statistics.bootstrap import bootstrap_interval

Group = Literal["base", "specialist", "ensemble", "merge"]


@dataclass(frozen=True)
class ScoreRow:
    """One model on all tasks.

    accuracy: one share a task, in the order of DemoResult.tasks. networks: how many are run for one answer.
    difference, low, high: mean accuracy minus that of the best single model, with its 95 % interval (paired bootstrap).
    """

    name: str
    group: Group
    networks: int
    accuracy: tuple[float, ...]
    mean: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo found. best_single: the base or specialist with the highest mean. seconds: whole run."""

    folder: Path
    tasks: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    best_single: str
    test_images: int
    plot: Path
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Everything but the places, ready for JSON."""
        return {
            "data": "scikit-learn digits, 8 x 8",
            "tasks": list(self.tasks),
            "test_images": self.test_images,
            "best_single": self.best_single,
            "seconds": round(self.seconds, 1),
            "rows": [asdict(row) for row in self.rows],
        }


def score_rows(
    right: Mapping[str, NDArray[np.bool_]], groups: Mapping[str, Group], *, members: int, seed: int, draws: int = 2000
) -> tuple[tuple[ScoreRow, ...], str]:
    """Rows of the table, and the name of the best single model.

    right: model to (tasks, images) of hits; the same images in every task.
    The best single model is picked on these very images, which favours it: the differences are on the cautious side.
    """
    singles = [name for name in right if groups[name] in ("base", "specialist")]
    best = max(singles, key=lambda name: float(right[name].mean()))
    rows = []
    for name, hits in right.items():
        # an image is drawn with all its views: the views of one image are not independent evidence
        gain = hits.mean(axis=0, dtype=np.float64) - right[best].mean(axis=0, dtype=np.float64)
        low, high = bootstrap_interval(gain, draws=draws, seed=seed)
        accuracy = tuple(float(share) for share in hits.mean(axis=1))
        networks = members if groups[name] == "ensemble" else 1
        rows.append(ScoreRow(name, groups[name], networks, accuracy, float(np.mean(accuracy)), float(gain.mean()), low, high))
    return tuple(rows), best


def table(result: DemoResult) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: accuracy in per cent, difference to the best single model in points."""
    head = ["model", "networks", *result.tasks, "mean", f"against {result.best_single} (95 %)"]
    lines = []
    for row in result.rows:
        percent = [f"{100 * share:.1f}" for share in (*row.accuracy, row.mean)]
        gain = f"{100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
        versus = "" if row.name == result.best_single else gain
        lines.append([row.name, str(row.networks), *percent, versus])
    return head, lines
