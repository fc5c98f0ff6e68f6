"""Exact order statistics of values that each pass computes anew: histograms over float32 bit patterns, digit by digit.

A round counts the first digit of every pattern; the next round counts the second digit, but only where the first is that of the entry
sought, and so on. Counts add up over chunks, so memory stays that of the histograms, however long the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Counts = Sequence[NDArray[np.float64]]

FEW_PASSES = (16, 16)
"""Bits of each digit: two passes, and 65,536 counts for each entry that is sought."""
LITTLE_MEMORY = (11, 11, 10)
"""Three passes, and 2,048 counts."""


def count_digits(values: Tensor, earlier: Counts, ranks: ArrayLike, digits: tuple[int, ...]) -> NDArray[np.float64]:
    """The counts of the next round: (rows, 2^bits) in the first, (rows, ranks, 2^bits) in those after it.

    values: (rows, entries), compared as float32. earlier: the sums of the rounds before. ranks: as in `find`.
    """
    patterns = _patterns(values)
    level = len(earlier)
    below = sum(digits[level + 1 :])
    size = 1 << digits[level]
    if not level:
        return np.stack([np.bincount(row >> below, minlength=size) for row in patterns]).astype(np.float64)
    prefixes = _follow(earlier, ranks, digits)
    return np.stack([[_within(row, prefix, below, digits[level]) for prefix in own] for row, own in zip(patterns, prefixes, strict=True)])


def find(counts: Counts, ranks: ArrayLike, digits: tuple[int, ...]) -> NDArray[np.float32]:
    """The values of the given ascending ranks, (rows, ranks), once all rounds are counted.

    ranks: (rows, ranks) or (ranks,), from 0; negative ones count from the largest, -1.

    >>> import torch
    >>> values = torch.tensor([[3.0, -1.0, 2.0, -7.0]])
    >>> counts = []
    >>> for _ in FEW_PASSES:
    ...     counts.append(count_digits(values, counts, [0, 2, -1], FEW_PASSES))
    >>> find(counts, [0, 2, -1], FEW_PASSES).tolist()
    [[-7.0, 2.0, 3.0]]
    """
    ordered = (_follow(counts, ranks, digits) - (1 << 31)).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)


def _patterns(values: Tensor) -> NDArray[np.int64]:
    """Non-negative integers of the same order, 32 bits each. -0 becomes 0, so that equal values have equal patterns."""
    from torch import float32

    bits = (values.to(float32) + 0.0).cpu().contiguous().numpy().view(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) + (1 << 31)


def _within(row: NDArray[np.int64], prefix: int, below: int, bits: int) -> NDArray[np.float64]:
    """Counts of the digit above the lowest `below` bits, of the entries whose digits before it are the prefix."""
    chosen = row[row >> (below + bits) == prefix]
    return np.bincount(chosen >> below & ((1 << bits) - 1), minlength=1 << bits).astype(np.float64)


def _follow(counts: Counts, ranks: ArrayLike, digits: tuple[int, ...]) -> NDArray[np.int64]:
    """(rows, ranks): the leading digits of the entries sought, as far as they are counted."""
    left = np.asarray(ranks, np.int64)
    left = np.broadcast_to(left, (len(counts[0]), left.shape[-1]))
    left = np.where(left < 0, left + counts[0].sum(-1)[:, None].astype(np.int64), left)
    prefix = np.zeros_like(left)
    for level, bits in zip(counts, digits, strict=False):
        ends = level.cumsum(-1)
        for row, rank in np.ndindex(left.shape):
            own = ends[row] if level.ndim == 2 else ends[row, rank]
            digit = min(int(own.searchsorted(left[row, rank], "right")), (1 << bits) - 1)
            left[row, rank] -= int(own[digit - 1]) if digit else 0
            prefix[row, rank] = prefix[row, rank] << bits | digit
    return prefix
