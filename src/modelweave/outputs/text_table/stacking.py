"""Members on folds, members on members, and the weights of all: with strict account of which rows a prediction has not seen."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from ...errors import CompatibilityError
from ..estimators.folds import OutOfFold, mean_predictions, out_of_fold
from ..predictions.learner import About
from ..predictions.metrics import Metric, Task
from ..splits import Fold, Split
from .column_types import ColumnTypes
from .named import Chosen

Array = NDArray[Any]
Feed = Literal["out_of_fold", "in_sample"]


@dataclass(frozen=True)
class Problem:
    """What is learnt. y: class numbers from 0, or numbers. classes: how many, 0 for numbers. known: weight, groups and time of rows."""

    y: Array
    classes: int
    metric: Metric
    known: About

    @property
    def task(self) -> Task:
        return "regression" if not self.classes else ("binary" if self.classes == 2 else "multiclass")

    @property
    def labels(self) -> Array | None:
        return np.arange(self.classes) if self.classes else None

    def take(self, rows: Any) -> Problem:
        """Some of the rows."""
        return replace(self, y=self.y[rows], known=self.known.take(rows))

    def score(self, p: Array) -> float:
        """The metric's usual number over the rows that p covers, NaN where it has none."""
        there = covered(p)
        y, weight = self.y[there], None if self.known.weight is None else self.known.weight[there]
        if not len(y) or (self.metric.needs_classes and len(np.unique(y)) < 2) or (weight is not None and weight.sum() <= 0):
            return float("nan")
        return self.metric.score(y, narrow(p)[there], weight)

    def folds(self, split: Split) -> list[Fold]:
        """The split's folds of these rows."""
        return split.over(self.y, groups=self.known.groups, time=self.known.time, classes=bool(self.classes))

    def holdout(self, split: Split) -> Fold:
        """One fold by the same rules."""
        return split.holdout(self.y, groups=self.known.groups, time=self.known.time, classes=bool(self.classes))


@dataclass(frozen=True)
class Node:
    """A fitted member: one model a fold, its predictions of rows those did not learn from, and the nodes whose predictions it reads."""

    name: str
    family: str
    level: int
    found: OutOfFold
    score: float
    inputs: tuple[str, ...] = ()
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0


def narrow(p: Array) -> Array:
    """Of two classes the probability of the second, (rows,); all else as it is."""
    return p[:, 1] if p.ndim == 2 and p.shape[1] == 2 else p


def covered(p: Array) -> Array:
    """(rows,): which have a prediction."""
    return np.asarray(~np.isnan(p.reshape(len(p), -1)).any(axis=1))


def most_per_family(rows: int) -> int:
    """How many members of a family, the best by score, feed the next level.

    1 below 1,000 rows, 2 below 5,000, 3 below 10,000, then one more for every 5,000, and 12 at most. Source: AutoGluon 1.6.

    >>> [most_per_family(rows) for rows in (999, 1000, 5000, 10_000, 49_999, 50_000)]
    [1, 2, 3, 4, 11, 12]
    """
    if rows < 10_000:
        return 1 + (rows >= 1_000) + (rows >= 5_000)
    return min(4 + (rows - 10_000) // 5_000, 12)


def fit_level(
    members: Sequence[Chosen],
    table: pd.DataFrame,
    types: ColumnTypes,
    problem: Problem,
    folds: Sequence[Fold],
    *,
    level: int = 1,
    inputs: Sequence[str] = (),
    n_jobs: int | None = None,
) -> list[Node]:
    """Each member on the folds. level, inputs: what to write into the nodes.

    Raises CompatibilityError where a fold learns from a row it tests.
    """
    check_folds(folds)
    nodes = []
    for member in members:
        estimator, params = _estimator(member, types, problem)
        began = clock.perf_counter()
        found = out_of_fold(estimator, table, problem.y, folds, classes=problem.labels, fit_params=params, n_jobs=n_jobs)
        seconds = clock.perf_counter() - began
        name = member.name if level == 1 else f"{member.name}, level {level}"
        score = problem.score(found.predictions)
        nodes.append(Node(name, member.family, level, found, score, tuple(inputs), seconds, _speed(found.models, table, problem)))
    return nodes


def fit_on_all(member: Chosen, table: pd.DataFrame, types: ColumnTypes, problem: Problem) -> Node:
    """One model on all rows. What it says of them is not out-of-fold, so the node has no predictions of them."""
    estimator, params = _estimator(member, types, problem)
    began = clock.perf_counter()
    models = (clone(estimator).fit(table, problem.y, **params),)
    seconds = clock.perf_counter() - began
    none = np.full((len(table), problem.classes) if problem.classes else len(table), np.nan)
    return Node(member.name, member.family, 1, OutOfFold(none, models, ()), float("nan"), (), seconds, _speed(models, table, problem))


def _estimator(member: Chosen, types: ColumnTypes, problem: Problem) -> tuple[Any, dict[str, Any]]:
    """A member's estimator, and what its `fit` takes beside the rows."""
    estimator = member.make(types)
    given = {"sample_weight": problem.known.weight, "groups": problem.known.groups, "time": problem.known.time}
    takes = getattr(estimator, "takes", None) or [name for name in given if has_fit_parameter(estimator, name)]
    return estimator, {name: value for name, value in given.items() if value is not None and name in takes}


def _speed(models: Sequence[Any], table: pd.DataFrame, problem: Problem) -> float:
    """Seconds to predict 1,000 rows, from at most 200."""
    some = table.iloc[:200]
    began = clock.perf_counter()
    mean_predictions(models, some, problem.labels)
    return (clock.perf_counter() - began) * 1000 / len(some)


def check_folds(folds: Sequence[Fold]) -> None:
    """Raise CompatibilityError where a fold learns from a row that it tests."""
    for number, fold in enumerate(folds, 1):
        both = np.intersect1d(fold.train, fold.test)
        if len(both):
            raise CompatibilityError(
                f"fold {number} of {len(folds)}: row {both[0]} is both learnt from and predicted, and {len(both) - 1} others; "
                "expected folds whose parts share no row"
            )


def feeders(nodes: Sequence[Node], metric: Metric, rows: int) -> list[Node]:
    """The nodes that feed the next level: of each family the best."""
    most = most_per_family(rows)
    ranked = sorted(nodes, key=lambda node: (np.isnan(node.score), -node.score if metric.gain else node.score))
    families: dict[str, list[str]] = {}
    for node in ranked:
        families.setdefault(node.family, []).append(node.name)
    kept = {name for names in families.values() for name in names[:most]}
    return [node for node in nodes if node.name in kept]


def with_predictions(table: pd.DataFrame, predictions: Mapping[str, Array]) -> tuple[pd.DataFrame, list[str]]:
    """The table and, behind its own columns, a column of numbers for each prediction and class (of two classes the second)."""
    columns = {}
    for name, p in predictions.items():
        flat = narrow(p)
        for k, values in enumerate([flat] if flat.ndim == 1 else list(flat.T)):
            columns[f"prediction of {name}" + ("" if flat.ndim == 1 else f", class {k}")] = values
    return pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1), list(columns)


def fit_upper_level(
    members: Sequence[Chosen],
    table: pd.DataFrame,
    types: ColumnTypes,
    problem: Problem,
    lower: Sequence[Node],
    *,
    feed: Feed | Mapping[str, Array] = "out_of_fold",
    n_jobs: int | None = None,
) -> list[Node]:
    """Members on the original columns and the lower nodes' predictions, on the same folds; nothing where no fold can be fitted.

    Rows that no lower model has predicted do not learn. feed: `in_sample`, or predictions by name, feed what models say of rows they
    have learnt from, which is wrong and there to show what becomes of it.
    """
    fed = {node.name: _fed(node, table, problem, feed) for node in lower}
    there = np.all([covered(p) for p in fed.values()], axis=0)
    # the rows not covered keep their place, and no fold uses them
    extended, columns = with_predictions(table, fed)
    folds = []
    for fold in lower[0].found.folds:
        train, test = fold.train[there[fold.train]], fold.test[there[fold.test]]
        if len(train) >= 2 and len(test) and (not problem.classes or len(np.unique(problem.y[train])) > 1):
            folds.append(Fold(fold.repeat, train, test))
    if not folds:
        return []
    names = [node.name for node in lower]
    return fit_level(members, extended, types.with_numbers(columns), problem, folds, level=lower[0].level + 1, inputs=names, n_jobs=n_jobs)


def _fed(node: Node, table: pd.DataFrame, problem: Problem, feed: Feed | Mapping[str, Array]) -> Array:
    if isinstance(feed, Mapping):
        return feed[node.name]
    return node.found.predictions if feed == "out_of_fold" else mean_predictions(node.found.models, table, problem.labels)


def predict_nodes(
    nodes: Sequence[Node],
    table: pd.DataFrame,
    labels: Array | None,
    wanted: Sequence[str] | None = None,
    known: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Predictions of new rows by name, the mean over a node's models: of the wanted nodes (all by default) and of those they read.

    known: predictions of these rows that are there already.
    """
    by_name = {node.name: node for node in nodes}
    found = dict(known or {})
    asked = list(by_name) if wanted is None else list(wanted)
    # a level reads only the one below it, so lower nodes come first
    needed = {name for wish in asked for name in (wish, *by_name[wish].inputs)}
    for node in sorted((by_name[name] for name in needed if name not in found), key=lambda node: node.level):
        rows = with_predictions(table, {name: found[name] for name in node.inputs})[0] if node.inputs else table
        found[node.name] = mean_predictions(node.found.models, rows, labels)
    return found
