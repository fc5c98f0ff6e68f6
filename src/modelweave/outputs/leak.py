"""Whether predictions flatter the rows they were made for: those that a level learns from against those of new rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompatibilityError

Array = NDArray[Any]
SURE = 3.0
"""So many standard errors must lie between the mean losses on used and on new rows before predictions count as flattering."""


@dataclass(frozen=True)
class Leak:
    """gap: mean loss on new rows less that on the rows used. error: the gap's standard error."""

    name: str
    gap: float
    error: float

    @property
    def flagged(self) -> bool:
        """Whether the losses are better on the rows used than chance allows."""
        return self.gap > SURE * self.error


def find_leak(name: str, fed: Array, y: Array, new: Array, y_new: Array, *, groups: Array | None = None, new_groups: Any = None) -> Leak:
    """Compare a member's predictions as a higher level was given them with its predictions of rows that nothing has seen.

    gap = mean loss(new) - mean loss(fed), error = sqrt(var(fed) / n + var(new) / m), flagged above 3 errors. The loss is
    the Brier score of class numbers, which no single row can dominate, and the squared distance of floats; of rows of a group, which
    err together, the mean counts once. Out-of-fold predictions are like those of new rows, or a little worse. It cannot tell a leak
    from a drift between the two sets of rows.

    Args:
        name: of the member.
        fed: (rows,) or (rows, columns), NaN where there is none.
        y: (rows,) class numbers or floats.
        new: as fed, of other rows.
        y_new: as y, of these.
        groups: (rows,) of fed; None: each row is one.
        new_groups: the same of new.

    Returns:
        The gap, its standard error, and `flagged`.

    Raises:
        CompatibilityError: for fewer than two rows or groups on either side.

    >>> y = np.array([0, 1] * 50)
    >>> find_leak("sees all", np.where(y, 0.9, 0.1), y, np.full(100, 0.5), y).flagged
    True
    """
    used, unseen = _losses(fed, y, groups), _losses(new, y_new, new_groups)
    if min(len(used), len(unseen)) < 2:
        raise CompatibilityError(f"leak: '{name}' covers {len(used)} and {len(unseen)} rows; expected at least 2 of each kind")
    error = float(np.sqrt(used.var(ddof=1) / len(used) + unseen.var(ddof=1) / len(unseen)))
    return Leak(name, float(unseen.mean() - used.mean()), error)


def _losses(p: Array, y: Array, groups: Array | None) -> Array:
    """One loss a row that has a prediction, or the mean of each group."""
    there = ~np.isnan(p.reshape(len(p), -1)).any(axis=1)
    p, y = p[there], y[there]
    if y.dtype.kind in "iub":
        p = p if p.ndim == 2 else np.column_stack([1 - p, p])
        y = np.eye(p.shape[1])[y]
    losses = ((p - y) ** 2).reshape(len(p), -1).sum(axis=1)
    if groups is None:
        return np.asarray(losses)
    units = np.unique(groups[there], return_inverse=True)[1].reshape(-1)
    return np.asarray(np.bincount(units, losses) / np.bincount(units))
