"""The leaderboard: the ensemble and each of its members, with scores, weights and times."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from ..estimators.folds import mean_predictions
from ..estimators.table import Array, Table
from ..estimators.tower import Level, Models, Tower, spoken, title
from ..predictions.metrics import Metric

BLEND = "weighted ensemble"


def leaderboard(whole: Tower, used: Tower, levels: Sequence[Level], table: Table, metric: Metric) -> list[dict[str, Any]]:
    """A row for the ensemble and for every member of every level, the best first. used: the tower of those that predictions need."""
    found: list[dict[str, Any]] = []
    cost = {"fit seconds": 0.0, "predict seconds": 0.0}
    for number, (level, members) in enumerate(zip(levels, whole.levels, strict=True), 1):
        for name, models in members.items():
            one = level.found[name]
            weight = 1.0 if whole.blend is None else whole.blend.weights[title(name, number)]
            own = {"fit seconds": one.seconds, "predict seconds": _speed(models, level.inputs, table.classes)}
            found.append(_row(title(name, number), number, table.score(one.predictions, metric), weight, own))
            if number <= len(used.levels) and name in used.levels[number - 1]:
                cost = {word: seconds + own[word] for word, seconds in cost.items()}
    if whole.blend is not None:
        score = table.score(whole.together(spoken(levels)), metric)
        found.append(_row(BLEND, len(levels) + 1, score, 1.0, cost))
    sign = -1 if metric.gain else 1
    return sorted(found, key=lambda row: (np.isnan(row["score"]), sign * row["score"], row["level"]))


def _row(name: str, level: int, score: float, weight: float, cost: dict[str, float]) -> dict[str, Any]:
    return {"member": name, "level": level, "score": score, "weight": weight, **cost}


def _speed(models: Models, rows: Any, classes: Array | None) -> float:
    """Seconds to predict 1,000 rows, from at most 200."""
    some = rows.iloc[:200]
    began = perf_counter()
    mean_predictions(models, some, classes)
    return (perf_counter() - began) * 1000 / len(some)
