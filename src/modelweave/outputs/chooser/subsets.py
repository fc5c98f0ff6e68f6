"""Subsets as marks of 0 and 1: the likeliest of a size, and how well two agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def mean_jaccard(chosen: Sequence[Array] | Array, subsets: ArrayLike) -> float:
    """Mean over pools of |S and S*| / |S or S*|, both (pools, v) of 0 and 1.

    >>> mean_jaccard(np.array([[1, 1, 0]]), [[0, 1, 1]])
    0.3333333333333333
    """
    ours, theirs = np.asarray(chosen, bool), np.asarray(subsets, bool)
    return float(np.mean((ours & theirs).sum(axis=1) / np.maximum((ours | theirs).sum(axis=1), 1)))


def top(q: Array, sizes: Array) -> Array:
    """(pools, v) marks of the `sizes` largest of each row."""
    ranks = np.argsort(np.argsort(-q, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(ranks < sizes[:, None])
