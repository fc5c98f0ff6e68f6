"""Correlation of ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: Pearson's correlation of the ranks, equal values sharing their mean rank.

    Args:
        first: numbers.
        second: as many.

    Returns:
        A number in [-1, 1]; nan where all values on a side are equal.

    Source: Spearman 1904; for equal values Kendall 1945, section 4.

    >>> rank_correlation([1.0, 2.0, 9.0], [0.0, 5.0, 6.0])
    1.0
    """
    a, b = (ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else float("nan")


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """From 1 on, (n,); equal values share the mean of theirs.

    >>> ranks([5.0, 1.0, 5.0]).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    found: NDArray[np.float64] = (counts.cumsum() - (counts - 1) / 2)[places.reshape(-1)]
    return found
