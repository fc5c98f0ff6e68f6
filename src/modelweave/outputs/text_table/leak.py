"""Whether predictions that a level learns from flatter the rows it learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..leak import Leak, compare_losses

Array = NDArray[Any]


def find_leak(name: str, fed: Array, y: Array, new: Array, y_new: Array) -> Leak:
    """Compare a member's predictions as a higher level was given them with its predictions of rows that nothing has seen.

    gap = mean loss(new) - mean loss(fed), error = sqrt(var(fed) / n + var(new) / m), flagged above 3 errors. The loss is the Brier
    score of class numbers, the square of the distance of floats. Out-of-fold predictions are like those of new rows, or a little
    worse, since the models of all folds are averaged for new rows. It cannot tell a leak from a drift between the two sets of rows,
    and takes rows as independent.

    fed, new: (rows,) or (rows, classes), NaN where there is none. Raises CompatibilityError where fewer than two rows are covered.

    >>> y = np.array([0, 1] * 50)
    >>> find_leak("sees all", np.where(y, 0.9, 0.1), y, np.full(100, 0.5), y).flagged
    True
    """
    before, after = (_losses(p, truth) for p, truth in ((fed, y), (new, y_new)))
    return compare_losses(name, before, after)


def _losses(p: Array, y: Array) -> Array:
    there = ~np.isnan(p.reshape(len(p), -1)).any(axis=1)
    p, y = p[there], y[there]
    if y.dtype.kind not in "iub":
        return np.asarray((p - y) ** 2)
    both = p if p.ndim == 2 else np.column_stack([1 - p, p])
    return np.asarray(((both - np.eye(both.shape[1])[y]) ** 2).sum(axis=1))
