"""Rows to learn from, and the members that learn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from ..predictions.learner import About
from ..predictions.metrics import Metric, Task
from ..predictions.pool import covered
from ..splits import Fold, Split

Array = NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Rows to learn from. classes: the sorted labels, None for numbers. split: what drew the folds, if it can draw others."""

    X: Any
    y: Array
    classes: Array | None
    folds: tuple[Fold, ...]
    about: About
    split: Split | None

    def take(self, rows: Array, folds: tuple[Fold, ...] = ()) -> Table:
        """Some of the rows, with folds of their own."""
        return replace(self, X=_safe_indexing(self.X, rows), y=self.y[rows], about=self.about.take(rows), folds=folds)

    @property
    def task(self) -> Task:
        return "regression" if self.classes is None else "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def codes(self) -> Array:
        """(rows,): class numbers, or the numbers."""
        return self.y if self.classes is None else np.searchsorted(self.classes, self.y)

    def narrow(self, p: Array) -> Array:
        """Predictions as metrics take them: of two classes the second's probability."""
        return p[:, 1] if self.task == "binary" and p.ndim == 2 else p

    def score(self, p: Array, metric: Metric) -> float:
        """The metric's usual number over the rows that p covers, NaN where it has none."""
        p = self.narrow(p)
        there = covered(p)
        y, weight = self.codes[there], self.about.take(there).weight
        if not len(y) or (metric.needs_classes and len(np.unique(y)) < 2) or (weight is not None and weight.sum() <= 0):
            return float("nan")
        return metric.score(y, p[there], weight)


@dataclass(frozen=True)
class TowerMember:
    """An estimator under its name, with what its `fit` is given besides. family: the kind of model it is, where that matters."""

    name: str
    estimator: Any
    params: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""

    def above(self, columns: Sequence[str]) -> TowerMember:
        """The member on a level that reads predictions, too, in columns of these names; estimators of any columns stay as they are."""
        return self


def most_per_family(rows: int) -> int:
    """How many members of a family, the best by score, feed the next level.

    1 below 1,000 rows, 2 below 5,000, 3 below 10,000, then one more for every 5,000, and 12 at most. Source: AutoGluon 1.6.

    >>> [most_per_family(rows) for rows in (999, 1000, 5000, 10_000, 49_999, 50_000)]
    [1, 2, 3, 4, 11, 12]
    """
    if rows < 10_000:
        return 1 + (rows >= 1_000) + (rows >= 5_000)
    return min(4 + (rows - 10_000) // 5_000, 12)


def best_of_families(members: Sequence[TowerMember], losses: Mapping[str, float], rows: int) -> tuple[str, ...]:
    """Names of the members with the least losses within their families, in the order given; NaN counts as the worst."""
    families: dict[str, list[str]] = {}
    for member in sorted(members, key=lambda member: (np.isnan(losses[member.name]), losses[member.name])):
        families.setdefault(member.family, []).append(member.name)
    kept = {name for names in families.values() for name in names[: most_per_family(rows)]}
    return tuple(member.name for member in members if member.name in kept)
