"""Whether S y is what a model predicts, for numbers and for classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from .rows import Floats, SmootherRows, is_sparse

TOLERANCE = 1e-7
"""Largest difference that is rounding, in units of the largest label."""


def check_identity(model: Any, rows: SmootherRows, X: Any, y_train: Any) -> float:
    """Largest |S y_train - prediction at X| over rows and outputs, which is rounding for the right rows and labels.

    Raises CompatibilityError where it is not, ParameterError for a function or an array, which predict nothing.
    """
    name = type(model).__name__
    if not hasattr(model, "predict"):
        raise ParameterError(f"y_train is compared with a model's predictions, and this {name} has none; leave y_train out")
    targets = label_columns(model, y_train)
    if len(targets) != rows.shape[1]:
        raise CompatibilityError(f"y_train has {len(targets)} labels, X_train {rows.shape[1]} rows; give one label a row")
    if not np.isfinite(targets).all():
        raise CompatibilityError("y_train holds NaN or infinity; give the labels that the model was fitted on")
    predicted = predicted_columns(model, X)
    found = rows.times(targets)
    if found.shape != predicted.shape:
        raise CompatibilityError(
            f"y_train has {found.shape[1]} outputs, {name} predicts {predicted.shape[1]}; give the labels it was fitted on"
        )
    error = float(np.abs(found - predicted).max())
    if not error <= TOLERANCE * max(1.0, float(np.abs(targets).max())):
        raise CompatibilityError(
            f"S y_train differs from what {name} predicts by up to {error:.3g}: X_train and y_train must be what it was fitted on, in "
            "their order and without sample_weight, and its solver must be exact"
        )
    return error


def label_columns(model: Any, y_train: Any) -> Floats:
    """(n, outputs) labels as numbers; a column a class for a classifier."""
    labels = np.asarray(y_train.toarray() if is_sparse(y_train) else y_train)
    labels = labels[:, None] if labels.ndim == 1 else labels
    classes = getattr(model, "classes_", None)
    if classes is None:
        try:
            return labels.astype(np.float64)
        except ValueError:
            raise CompatibilityError("y_train must be numbers for a regression") from None
    by_output = list(classes) if isinstance(classes, list) else [classes]
    if len(by_output) != labels.shape[1]:
        raise CompatibilityError(f"y_train has {labels.shape[1]} outputs, the model {len(by_output)}; give the labels it was fitted on")
    return np.concatenate([column[:, None] == known for column, known in zip(labels.T, by_output, strict=True)], axis=1).astype(np.float64)


def predicted_columns(model: Any, X: Any) -> Floats:
    """(m, outputs) predictions; a column a class for a classifier."""
    found = model.predict_proba(X) if getattr(model, "classes_", None) is not None else model.predict(X)
    found = np.concatenate(found, axis=1) if isinstance(found, list) else np.asarray(found, dtype=np.float64)
    return np.asarray(found[:, None] if found.ndim == 1 else found, dtype=np.float64)
