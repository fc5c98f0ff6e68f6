"""Whether losses on rows that were used are too good to be true on new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompatibilityError

Array = NDArray[Any]


@dataclass(frozen=True)
class Leak:
    """gap: mean loss on new rows less that on the rows used. error: the gap's standard error. times: the ratio of the two means.

    sure, much: from how many errors and from which ratio on it is no chance.
    """

    name: str
    gap: float
    error: float
    times: float = np.inf
    sure: float = 3.0
    much: float = 1.0

    @property
    def flagged(self) -> bool:
        """Whether the losses are better on the rows used than chance allows."""
        return self.gap > self.sure * self.error and self.times > self.much


def compare_losses(name: str, used: Array, new: Array, *, sure: float = 3.0, much: float = 1.0) -> Leak:
    """gap = mean(new) - mean(used), error = sqrt(var(used) / n + var(new) / m); flagged above `sure` errors and `much` times the loss.

    used, new: one loss an independent unit, such as a row or the mean of a group. It cannot tell a leak from a drift between the two.
    Raises CompatibilityError for fewer than two units of either.

    >>> compare_losses("a", np.array([0.0, 0.1, 0.0, 0.1]), np.array([0.9, 1.0, 0.9, 1.0])).flagged
    True
    """
    if min(len(used), len(new)) < 2:
        raise CompatibilityError(f"leak: '{name}' covers {len(used)} and {len(new)} rows; expected at least 2 of each kind")
    error = float(np.sqrt(used.var(ddof=1) / len(used) + new.var(ddof=1) / len(new)))
    before, after = float(used.mean()), float(new.mean())
    return Leak(name, after - before, error, after / before if before > 0 else np.inf, sure, much)
