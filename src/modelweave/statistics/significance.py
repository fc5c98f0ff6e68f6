"""P-values over several tests: put together, or corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError


def fisher_combined(p_values: Sequence[float]) -> float:
    """The p-value of independent tests of one hypothesis taken together: X = -2 sum ln p_i is chi-squared with 2 m degrees of freedom.

    For an even number of degrees the tail is a finite sum: exp(-X/2) sum_{k < m} (X/2)^k / k!. Source: Fisher 1932, section 21.1.

    Args:
        p_values: m numbers in [0, 1], one at least.

    Raises:
        ParameterError: for anything else.

    >>> round(fisher_combined([0.05, 0.10]), 4)
    0.0315
    """
    values = _checked(p_values)
    half = float(-np.log(np.maximum(values, 1e-300)).sum())
    terms = np.cumsum([0.0, *(math.log(half) - math.log(k) for k in range(1, len(values)))]) if half > 0 else np.zeros(1)
    return float(min(1.0, np.exp(terms - half).sum()))


def holm_corrected(p_values: Sequence[float]) -> list[float]:
    """P-values that hold for all of m tests at once: the k-th smallest times m - k + 1, never falling. Source: Holm 1979.

    Args:
        p_values: m numbers in [0, 1], one at least.

    Returns:
        As many, at most 1, in the given order.

    Raises:
        ParameterError: for anything else.

    >>> [round(p, 3) for p in holm_corrected([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    return _in_place(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), order)


def benjamini_hochberg_corrected(p_values: Sequence[float]) -> list[float]:
    """P-values that keep the share of false discoveries among m independent tests: the k-th smallest times m / k, never falling.

    Source: Benjamini and Hochberg 1995, section 3.1.

    Args:
        p_values: m numbers in [0, 1], one at least.

    Returns:
        As many, at most 1, in the given order.

    Raises:
        ParameterError: for anything else.

    >>> [round(p, 3) for p in benjamini_hochberg_corrected([0.01, 0.04, 0.03])]
    [0.03, 0.04, 0.04]
    """
    values = _checked(p_values)
    order = np.argsort(values, kind="stable")
    raised = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _in_place(np.minimum.accumulate(raised[::-1])[::-1], order)


def sign_test(differences: Sequence[float]) -> float:
    """The chance of at least so many positive differences if each sign were a fair coin's.

    Args:
        differences: numbers; zeros are left out.

    Returns:
        The one-sided p-value, 1 where nothing is left.

    >>> sign_test([0.1, 0.2, 0.3, 0.1, 0.4, 0.2])
    0.015625
    """
    signs = np.sign([d for d in differences if d != 0])
    wins, count = int((signs > 0).sum()), len(signs)
    return float(sum(math.comb(count, k) for k in range(wins, count + 1)) / 2**count)


def _in_place(raised: NDArray[np.float64], order: NDArray[np.intp]) -> list[float]:
    """Corrected p-values, at most 1, where the given ones stood."""
    found = np.empty(len(raised))
    found[order] = np.minimum(raised, 1)
    return [float(p) for p in found]


def _checked(p_values: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ParameterError(f"p-values: expected numbers from 0 to 1, got {list(p_values)!r:.80}")
    return values
