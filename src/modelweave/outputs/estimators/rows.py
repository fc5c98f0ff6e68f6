"""Rows on their way into an estimator: checked, but left in the form they came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import assert_all_finite, check_array, column_or_1d, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ...errors import CompatibilityError

Array = NDArray[Any]


class Checked(NamedTuple):
    """classes: the sorted labels, None for numbers."""

    X: Any
    y: Array
    classes: Array | None
    weight: Array | None


def as_rows(X: Any) -> Any:
    """A list of arrays, such as bags of different sizes, as one array of objects, a bag a row."""
    if isinstance(X, (list, tuple)) and len(X) and all(isinstance(bag, np.ndarray) and bag.ndim > 1 for bag in X):
        bags = np.empty(len(X), object)
        bags[:] = X
        return bags
    return X


def check_rows(estimator: Any, X: Any, y: Any, sample_weight: Any, *, labels: Sequence[Array] = (), one_class: bool = False) -> Checked:
    """Rows to fit on. labels: others that are known. one_class: whether rows of a single class will do.

    Raises CompatibilityError for what cannot be learnt from.
    """
    X = as_rows(X)
    validate_data(estimator, X, y, skip_check_array=True)
    X, y = indexable(X, y)
    name = type(estimator).__name__
    if len(y) < 2:
        raise CompatibilityError(f"{name}: expected at least 2 rows to learn from, got {len(y)} sample{'s' * (len(y) != 1)}")
    weight = None if sample_weight is None else np.asarray(sample_weight)
    if weight is not None and not np.any(weight):
        raise CompatibilityError("sample_weight: all weights are zero; give some row a weight above 0")
    given = np.asarray(y)
    if given.dtype == object:
        missing = [row for row, label in enumerate(given.ravel()) if label is None]
        if missing:
            raise CompatibilityError(f"y: row {missing[0]} is missing; leave out rows without a target")
    if not is_classifier(estimator):
        if given.dtype.kind in "US":
            raise CompatibilityError(f"y: expected numbers, got {given.dtype}; {name.replace('Regressor', 'Classifier')} takes labels")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        several = estimator.__sklearn_tags__().target_tags.multi_output
        wide = y.ndim == 2 and y.shape[1] > 1 and several
        return Checked(X, y if wide else column_or_1d(y, warn=not several), None, weight)
    assert_all_finite(np.asarray(y), input_name="y")
    check_classification_targets(y)
    y = column_or_1d(y, warn=True)
    counted = y if weight is None or weight.shape != y.shape else y[weight > 0]
    if len(np.unique(counted)) < 2 and not one_class:
        raise CompatibilityError(
            f"{name}: all {len(counted)} rows {'' if weight is None else 'with a weight '}have one class, "
            f"{counted[:1].tolist()[0]!r}; expected at least two classes"
        )
    return Checked(X, y, np.unique(np.concatenate([np.unique(y), *labels])), weight)


def check_columns(estimator: Any, X: Any) -> Any:
    """Rows to predict, with the columns that were fitted on."""
    check_is_fitted(estimator)
    (X,) = indexable(as_rows(X))
    if hasattr(estimator, "n_features_in_") and np.ndim(X) == 1:
        raise CompatibilityError(
            f"{type(estimator).__name__}: expected a table of {estimator.n_features_in_} columns, got shape {np.shape(X)}. "
            "Reshape your data to (1, columns) if it is one row"
        )
    validate_data(estimator, X, skip_check_array=True, reset=False)
    return X
