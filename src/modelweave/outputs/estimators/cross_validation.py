"""From what scikit-learn takes as `cv` to folds, and from folds to a part that is held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from ...errors import CompatibilityError, ParameterError
from ..predictions.learner import About
from ..splits import Fold, Rows, Split

Array = NDArray[Any]
PREFIT = "prefit"


def as_split(cv: Any, seed: int, repeats: int = 1) -> Split | None:
    """The split object that `cv` stands for; None for scikit-learn's own splitters and for lists of rows."""
    whole = isinstance(cv, (int, np.integer)) and not isinstance(cv, bool)
    if cv is None or whole or (isinstance(cv, str) and cv == PREFIT):
        return Split(int(cv) if whole else 5, repeats, seed)
    if repeats != 1:
        raise ParameterError(f"repeats: {repeats} goes with cv as a number of folds; say Split(folds, repeats={repeats}) or leave it at 1")
    if isinstance(cv, (str, bool)):
        raise ParameterError(f"cv: expected a number of folds, a Split, a splitter of scikit-learn or 'prefit', got {cv!r}")
    return cv if isinstance(cv, Split) else None


def folds_of(cv: Any, split: Split | None, X: Any, y: Array, classes: bool, about: About) -> tuple[Fold, ...]:
    """The folds of all rows. split: what `as_split` made of cv."""
    if split is not None:
        return tuple(split.over(y, groups=about.groups, time=about.time, classes=classes))
    if about.time is not None:
        raise ParameterError(f"time: goes with cv as a number of folds or a Split, and {type(cv).__name__} orders rows by itself")
    found: list[Fold] = []
    for train, test in check_cv(cv, y, classifier=classes).split(X, y, about.groups):
        fold = Fold(0, _numbers(train), _numbers(test))
        both = np.intersect1d(fold.train, fold.test)
        if len(both):
            raise CompatibilityError(
                f"cv: fold {len(found) + 1} tests row {both[0]} that it also learns from; give parts without common rows"
            )
        found.append(fold)
    return tuple(found)


def _numbers(rows: Any) -> Rows:
    given = np.asarray(rows)
    return np.flatnonzero(given) if given.dtype == bool else given.astype(np.intp)


def looks_back(folds: Sequence[Fold]) -> bool:
    """Whether each fold learns only from rows above those it tests, as scikit-learn's TimeSeriesSplit does."""
    return bool(folds) and all(fold.train.max(initial=-1) < fold.test.min(initial=np.iinfo(np.intp).max) for fold in folds)


def usable(folds: Iterable[Fold], rows: Array, labels: Array | None) -> tuple[Fold, ...]:
    """The folds within some rows, given as flags, without those that have fewer than two to learn from, or none to test.

    labels: where given, a fold needs two of them to learn from.
    """
    found = []
    for fold in folds:
        train, test = fold.train[rows[fold.train]], fold.test[rows[fold.test]]
        if len(train) > 1 and len(test) and (labels is None or len(np.unique(labels[train])) > 1):
            found.append(Fold(fold.repeat, train, test))
    return tuple(found)


def hold_out(split: Split | None, folds: Sequence[Fold], y: Array, classes: bool, about: About) -> tuple[Rows, Rows, tuple[Fold, ...]]:
    """Rows to learn from, rows held out, and folds within the first, counted from 0 there.

    A split draws both by its own rules. Of other folds the last is held out, and the others serve where they do not touch it.
    """
    if split is not None:
        part = split.holdout(y, groups=about.groups, time=about.time, classes=classes)
        inside = about.take(part.train)
        return part.train, part.test, tuple(split.over(y[part.train], groups=inside.groups, time=inside.time, classes=classes))
    last = folds[-1]
    inner = np.zeros(len(y), bool)
    inner[last.train] = True
    place = np.cumsum(inner) - 1
    rows = np.flatnonzero(inner)
    found = usable(folds[:-1], inner, y if classes else None)
    if not found:
        raise CompatibilityError("cv: leaves no fold apart from the one that is held out; ask for more folds")
    return rows, last.test, tuple(Fold(fold.repeat, place[fold.train], place[fold.test]) for fold in found)


def weight_split(split: Split | None, about: About, rows: int, seed: int) -> Split | None:
    """The split for weights: as for members, with no more folds than the rows at hand have groups or moments for.

    None where there are not enough for two folds: groups and time are never ignored, so nothing can be said about rows left out.
    """
    split = split or Split(5, seed=seed)
    units = rows
    if about.groups is not None:
        units = len(np.unique(about.groups))
    if about.time is not None:
        units, split = len(np.unique(about.time)) - 1, replace(split, repeats=1)
    return replace(split, folds=min(split.folds, units)) if units >= 2 else None
