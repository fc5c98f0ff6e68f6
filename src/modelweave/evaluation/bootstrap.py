"""How sure one can be of a difference that was measured on the same examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(differences: NDArray[np.float64], *, draws: int = 2000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The percentile interval of the mean of paired differences.

    >>> bootstrap_interval(np.full(10, 0.25))
    (0.25, 0.25)
    """
    chance = np.random.default_rng(seed)
    rows = chance.integers(len(differences), size=(draws, len(differences)))
    low, high = np.quantile(differences[rows].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
