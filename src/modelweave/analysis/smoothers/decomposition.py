"""What an ensemble gains on fixed data: the best function its class gave, how much its functions differ, and the excess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CompatibilityError


@dataclass(frozen=True)
class Decomposition:
    """Of several refits on the same data. representation_bias: the mean squared error of the best refit (numbered `best`).
    model_variability: mean squared distance of all refits from the best. mean_error: mean over refits of their mean squared errors."""

    representation_bias: float
    model_variability: float
    mean_error: float
    best: int

    @property
    def mean_excess(self) -> float:
        """mean_error - representation_bias, never below 0."""
        return self.mean_error - self.representation_bias


def decompose(predictions: Sequence[Any] | Any, targets: Any) -> Decomposition:
    """Split the error of a procedure that is random on fixed data: MSE_r of refit r, r* = argmin MSE_r, and the distance of all from f_r*.

    RepBias = MSE_r*, ModVar = mean over r and x of (f_r(x) - f_r*(x))^2, excess = mean_r MSE_r - RepBias. With noise-free targets, the
    first is what the class can represent and the second how much chance decides; the mean error is not their sum.

    Args:
        predictions: (refits, m) values of each refit at m queries.
        targets: (m,) noise-free labels.

    Raises:
        CompatibilityError: for other shapes, no refits, NaN or infinity.

    Source: Curth et al. 2024, arXiv 2402.01502, section 5.

    >>> decompose([[1.0, 1.0], [0.0, 2.0]], [1.0, 2.0])
    Decomposition(representation_bias=0.5, model_variability=0.5, mean_error=0.5, best=0)
    """
    fitted, wanted = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if fitted.ndim != 2 or wanted.ndim != 1 or fitted.shape[1] != len(wanted) or fitted.size == 0:
        raise CompatibilityError(
            f"predictions are {fitted.shape}, targets {wanted.shape}; expected (refits, m) and (m,) with one refit and one query at least"
        )
    if not (np.isfinite(fitted).all() and np.isfinite(wanted).all()):
        raise CompatibilityError("predictions and targets must be finite; drop the queries with NaN or infinity")
    errors = np.mean((fitted - wanted) ** 2, axis=1)
    best = int(np.argmin(errors))
    return Decomposition(float(errors[best]), float(np.mean((fitted - fitted[best]) ** 2)), float(errors.mean()), best)
