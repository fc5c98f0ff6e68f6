"""Fitting scikit-learn estimators on folds, and predicting each row by models that never saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.parallel import Parallel, delayed

from ...errors import CompatibilityError
from ..splits import Fold

Array = NDArray[Any]


@dataclass(frozen=True)
class OutOfFold:
    """predictions: (rows,) or (rows, columns), of each row the mean over the models that did not learn from it, NaN where there is none.

    models: the model of each fold. columns: of classifiers always all `classes`, with 0 for those a model has not seen.
    seconds: how long fitting took.
    """

    predictions: Array
    models: tuple[Any, ...]
    folds: tuple[Fold, ...]
    seconds: float = 0.0


def out_of_fold(
    estimator: Any,
    X: Any,
    y: Any,
    folds: Sequence[Fold],
    *,
    classes: Array | None = None,
    fit_params: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    n_jobs: int | None = None,
) -> OutOfFold:
    """Fit a clone of the estimator on each fold's rows and predict its other rows.

    classes: labels in the order of columns, for classifiers. fit_params: given to `fit`; those with a value a row are cut to the fold.
    seeds: one a fold, for the `random_state` of its clone and of what is inside of it.
    Raises CompatibilityError where a fold has one class only to learn from.
    """
    rows = len(y)
    if classes is not None:
        for number, fold in enumerate(folds, 1):
            seen = np.unique(_safe_indexing(y, fold.train))
            if len(seen) < 2:
                raise CompatibilityError(
                    f"fold {number} of {len(folds)}: all {len(fold.train)} rows to learn from are of class {seen.tolist()[0]!r}; "
                    "ask for fewer folds, or for folds that spread the classes"
                )

    began = perf_counter()

    def one(fold: Fold, seed: int | None) -> tuple[Any, Array]:
        own = cut_params(fit_params or {}, fold.train, rows)
        model = clone(estimator) if seed is None else seeded(clone(estimator), seed)
        model.fit(_safe_indexing(X, fold.train), _safe_indexing(y, fold.train), **own)
        return model, predictions(model, _safe_indexing(X, fold.test), classes)

    each: Sequence[int | None] = seeds or [None] * len(folds)
    done = Parallel(n_jobs=n_jobs)(delayed(one)(fold, seed) for fold, seed in zip(folds, each, strict=True))
    total = np.zeros((rows, *done[0][1].shape[1:]))
    count = np.zeros(rows)
    for fold, (_, p) in zip(folds, done, strict=True):
        total[fold.test] += p
        count[fold.test] += 1
    count[count == 0] = np.nan
    return OutOfFold((total.T / count).T, tuple(model for model, _ in done), tuple(folds), perf_counter() - began)


def predictions(model: Any, X: Any, classes: Array | None) -> Array:
    """What a fitted model says of rows: (rows, classes) probabilities in the order of `classes`, or its numbers.

    A classifier without `predict_proba` gives 1 to the class it calls.
    """
    if classes is None:
        return np.asarray(model.predict(X), dtype=np.float64)
    found = np.zeros((_rows(X), len(classes)))
    if hasattr(model, "predict_proba"):
        p = np.asarray(model.predict_proba(X), dtype=np.float64)
        found[:, np.searchsorted(classes, model.classes_)] = p
        return found
    found[np.arange(len(found)), np.searchsorted(classes, model.predict(X))] = 1
    return found


def seeded(model: Any, seed: int) -> Any:
    """The estimator with every `random_state` in it set, each to a number of its own that follows from the seed."""
    names = sorted(name for name in model.get_params(deep=True) if name.split("__")[-1] == "random_state")
    numbers = np.random.default_rng(seed).integers(np.iinfo(np.int32).max, size=len(names))
    return model.set_params(**dict(zip(names, numbers.tolist(), strict=True)))


def seed_number(random_state: Any) -> int:
    """The seed that a `random_state` of scikit-learn's kind gives: a number as it is, one drawn from a generator, or any for None."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def mean_predictions(models: Sequence[Any], X: Any, classes: Array | None) -> Array:
    """The mean over models."""
    total = predictions(models[0], X, classes)
    for model in models[1:]:
        total += predictions(model, X, classes)
    return total / len(models)


def cut_params(params: Mapping[str, Any], rows: Array, whole: int) -> dict[str, Any]:
    """What `fit` is given besides X and y, for some of `whole` rows; values that are not one a row stay as they are."""

    def cut(value: Any) -> Any:
        per_row = value is not None and not isinstance(value, str) and hasattr(value, "__len__") and len(value) == whole
        return _safe_indexing(value, rows) if per_row else value

    return {name: cut(value) for name, value in params.items()}


def _rows(X: Any) -> int:
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
