"""What the rows of a study come to: one line a method and setting, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from ...statistics.bootstrap import bootstrap_interval
from .run import REFERENCE, Outcome
from .store import Row

POINT = 1.0
"""What counts as close: one of the hundred points of a score."""


@dataclass(frozen=True)
class Line:
    """A method or a baseline on one setting, in points of a hundred, means over seeds.

    scales: the best on validation, each once; none for what has no scale. interval: 95 percent, of the tuned score minus that of task
    arithmetic, over test examples.
    """

    name: str
    default: float
    tuned: float
    scales: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None
    seconds: float | None = None
    megabytes: float | None = None
    baseline: bool = False


def lines_of(outcome: Outcome, setting: str) -> list[Line]:
    """Methods and baselines, the best tuned first."""
    rows = [row for row in outcome.rows if row["setting"] == setting]
    names = list(dict.fromkeys(row["method"] for row in rows if row["kind"] in ("baseline", "tuned")))
    reference = [row for row in rows if row["kind"] == "tuned" and row["method"] == REFERENCE]
    found = [_line(name, [row for row in rows if row["method"] == name], reference) for name in names]
    return sorted(found, key=lambda line: (-line.tuned, line.name))


def refused(outcome: Outcome, setting: str) -> dict[str, str]:
    """Methods that cannot run, each with the reason."""
    return {row["method"]: row["reason"] for row in outcome.rows if row["setting"] == setting and row["kind"] == "refused"}


def _line(name: str, rows: Sequence[Row], reference: Sequence[Row]) -> Line:
    tuned = [row for row in rows if row["kind"] in ("baseline", "tuned")]
    default = [row for row in rows if row["kind"] in ("baseline", "default")]
    costs = {word: [row[word] for row in tuned if row.get(word) is not None] for word in ("seconds", "megabytes")}
    return Line(
        name,
        100 * fmean(row["score"] for row in default),
        100 * fmean(row["score"] for row in tuned),
        tuple(sorted({row["scale"] for row in tuned if row.get("scaled")})),
        None if name == REFERENCE else _interval(tuned, reference),
        fmean(costs["seconds"]) if costs["seconds"] else None,
        fmean(costs["megabytes"]) if costs["megabytes"] else None,
        baseline=tuned[0]["kind"] == "baseline",
    )


def _interval(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float] | None:
    """Paired by seed and example; None without the reference."""
    other = {row["seed"]: row["examples"] for row in reference}
    pairs = [(row["examples"], other[row["seed"]]) for row in rows if row["seed"] in other]
    if not pairs:
        return None
    differences = np.concatenate([100 * (np.asarray(own) - np.asarray(theirs)) for own, theirs in pairs])
    return bootstrap_interval(differences)


def behind(outcome: Outcome) -> dict[str, dict[str, float]]:
    """Method to setting to how many points its tuned score is behind the best; the methods by their mean over settings.

    A method that some setting refuses comes after those that ran everywhere.
    """
    found: dict[str, dict[str, float]] = {}
    for setting in outcome.settings:
        lines = [line for line in lines_of(outcome, setting.key) if not line.baseline]
        for line in lines:
            found.setdefault(line.name, {})[setting.key] = lines[0].tuned - line.tuned
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), fmean(item[1].values()), item[0])))


@dataclass(frozen=True)
class Advised:
    """The advice for one setting and seed, as points behind the best.

    default: with the advised parameters, behind the best by default. tuned: at its best scale, behind the best tuned; None where the
    method was not run.
    """

    setting: str
    seed: int
    choice: str
    default: float | None
    tuned: float | None


def advised(outcome: Outcome) -> list[Advised]:
    """One for each time that advice was given."""
    found = []
    for row in outcome.rows:
        if row["kind"] == "advice":
            default, tuned = (_scores(outcome, row, kind) for kind in ("default", "tuned"))
            as_advised = 100 * row["score"]
            name = row["method"]
            gaps = (max(default.values(), default=as_advised) - as_advised, max(tuned.values()) - tuned[name] if name in tuned else None)
            found.append(Advised(row["setting"], row["seed"], name, *gaps))
    return found


def _scores(outcome: Outcome, advice: Row, kind: str) -> dict[str, float]:
    here = [row for row in outcome.rows if row["kind"] == kind and all(row[word] == advice[word] for word in ("setting", "seed"))]
    return {row["method"]: 100 * row["score"] for row in here}
