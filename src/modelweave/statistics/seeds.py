"""Intervals of a mean over a few seeds, such as the margin by which one method beats another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..extras import extra
from .bootstrap import tails

MOST = 8
"""Values whose samples are counted out: 8 have 6,435 of them, 10 have 92,378."""


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean: mean -+ t s / sqrt(n), with t the quantile for n - 1 degrees of freedom.

    Args:
        values: one number a seed, two at least; for a margin the paired differences, first minus second of each seed.
        level: in (0, 1).

    Returns:
        (low, high), which are the values themselves where all are equal.

    Raises:
        ParameterError: for fewer than two values, or one that is not finite.
        MissingExtraError: without SciPy, from the extra 'tabular'.

    Source: Student 1908, section 9.

    >>> [round(end, 3) for end in t_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    array = _checked(values)
    quantile = float(extra("scipy.stats", "tabular").t.ppf(tails(level)[1], len(array) - 1))
    mean, half = float(array.mean()), quantile * float(array.std(ddof=1)) / math.sqrt(len(array))
    return mean - half, mean + half


def paired_t_interval(first: Sequence[float], second: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of first - second, seed by seed; see `t_interval`.

    Args:
        first: one number a seed, two at least.
        second: one for each of the same seeds.
        level: in (0, 1).

    Returns:
        (low, high).

    Raises:
        ParameterError: for other numbers of values, or one that is not finite.
        MissingExtraError: without SciPy, from the extra 'tabular'.

    >>> [round(end, 3) for end in paired_t_interval([1.0, 3.0, 5.0], [0.0, 1.0, 2.0])]
    [-0.484, 4.484]
    """
    if len(first) != len(second):
        raise ParameterError(f"paired interval: expected as many values on both sides, got {len(first)} and {len(second)}")
    return t_interval((np.asarray(first, np.float64) - np.asarray(second, np.float64)).tolist(), level=level)


def exact_bootstrap_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a mean over all n^n bootstrap samples of n values, at most 8, without a draw of chance.

    It assumes no shape, but is too narrow for few values: by sqrt((n - 1) / n) and by the normal's quantile in place of Student's. So
    `t_interval` is the one to report, and this one tells whether a single seed carries it.
    Source: Fisher and Hall 1991, section 2.

    Args:
        values: one number a seed, 2 to 8 of them.
        level: in (0, 1).

    Returns:
        (low, high).

    Raises:
        ParameterError: for another number of values, one that is not finite, or a level out of range.

    >>> exact_bootstrap_interval([0.0, 1.0], level=0.5)
    (0.0, 1.0)
    """
    array = _checked(values)
    n = len(array)
    if n > MOST:
        raise ParameterError(f"exact bootstrap: expected at most {MOST} values, got {n}; draw samples with bootstrap_interval")
    picks = np.array(list(combinations_with_replacement(range(n), n)))
    times = (picks[:, :, None] == np.arange(n)).sum(axis=1)
    ways = [math.factorial(n) / math.prod(math.factorial(int(k)) for k in row) for row in times]
    means = times @ array / n
    order = np.argsort(means, kind="stable")
    reached = np.cumsum(np.asarray(ways)[order])
    below, above = (tail * n**n for tail in tails(level))
    places = np.searchsorted(reached, below), np.searchsorted(reached, above, side="right")
    return float(means[order][places[0]]), float(means[order][places[1]])


def _checked(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ParameterError(f"interval over seeds: expected two or more finite numbers, got {list(values)!r:.80}")
    return array
