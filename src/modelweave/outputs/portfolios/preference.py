"""Which of two strategies one would rather have held, without a model of the market; and two plain strategies to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError
from .growth_factors import growth_factors

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Preference:
    """Of a over b. rate: (1/n) log(S_n(a) / S_n(b)), the difference of growth rates. lowest, highest: of the same rate after 1, 2, ...
    periods, over the later half. slope: per period, of the least-squares line through log(S_t(a) / S_t(b)) over the later half.

    The relation is about limits: a is weakly preferred when the lower limit of the rate is at least 0, strictly when the upper one is
    above 0, too. A finite record can only hint at that. A rate above 0 with a slope below 0 means that the lead is shrinking.
    """

    rate: float
    lowest: float
    highest: float
    slope: float

    @property
    def hint(self) -> str:
        """In words, for this record."""
        if max(abs(self.lowest), abs(self.highest)) < 1e-12:
            return "indifferent so far"
        if self.lowest >= 0:
            return "preferred so far"
        return "not preferred so far" if self.highest <= 0 else "undecided so far"


def preference(log_wealth: ArrayLike, other: ArrayLike) -> Preference:
    """Which of two curves of log-wealth one would rather have held. Source: Lam 2024, arXiv 2406.03652, on long-run wealth.

    Args:
        log_wealth: (periods + 1,), 0 at first.
        other: the same.

    Raises:
        CompatibilityError: for curves of different lengths, shorter than 2, or not finite.

    >>> preference([0, 1, 2, 3, 4], [0, 0, 0, 0, 0]).hint
    'preferred so far'
    """
    a, b = np.asarray(log_wealth, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise CompatibilityError(f"preference: expected two curves of one length of at least 2, got {a.shape} and {b.shape}")
    apart = a - b
    if not np.isfinite(apart).all():
        raise CompatibilityError("preference: expected finite log-wealth, got NaN or infinity; pass log_wealth, not wealth")
    rates = apart[1:] / np.arange(1, len(a))
    later = rates[len(rates) // 2 :]
    return Preference(float(rates[-1]), float(later.min()), float(later.max()), _slope(apart[(len(apart) - 1) // 2 :]))


def _slope(values: Floats) -> float:
    """Of the least-squares line, per step. values: at least 2."""
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    return float(steps @ values / (steps @ steps))


def constant_mixture(returns: ArrayLike, weights: ArrayLike) -> Floats:
    """Log-wealth of a mixture that is put back to the same weights every period.

    Args:
        returns: (periods, components) growth factors.
        weights: (components,), at least 0, sum 1.

    Returns:
        (periods + 1,), 0 at first.

    Raises:
        CompatibilityError: for other factors or weights.

    >>> np.exp(constant_mixture([[1, 2], [1, 0.5]], [0.5, 0.5])).tolist()
    [1.0, 1.5, 1.125]
    """
    grown = growth_factors(returns)
    return np.asarray(np.r_[0.0, np.cumsum(np.log(grown @ _weights(weights, grown.shape[1])))])


def buy_and_hold(returns: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Log-wealth of shares bought once. It is a mean of the components' wealths, and so never exceeds the best of them.

    That is the universal mixture with all of its prior on the corners of the simplex.

    Args:
        returns: (periods, components) growth factors.
        weights: (components,), at least 0, sum 1; by default equal.

    Returns:
        (periods + 1,), 0 at first.

    Raises:
        CompatibilityError: for other factors or weights.

    >>> np.exp(buy_and_hold([[1, 2], [1, 0.5]])).tolist()
    [1.0, 1.5, 1.0]
    """
    grown = growth_factors(returns)
    components = grown.shape[1]
    start = np.full(components, 1 / components) if weights is None else _weights(weights, components)
    each = np.vstack([np.zeros(components), np.cumsum(np.log(grown), axis=0)])[:, start > 0]
    top = each.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(each - top) @ start[start > 0]) + top[:, 0])


def _weights(weights: ArrayLike, components: int) -> Floats:
    given = np.asarray(weights, np.float64)
    if given.shape != (components,):
        raise CompatibilityError(f"weights: expected {components}, one a component, got shape {given.shape}")
    if not ((given >= 0).all() and abs(given.sum() - 1) <= 1e-9):
        raise CompatibilityError(f"weights: expected numbers of at least 0 that sum to 1, got {given.tolist()!r:.80}")
    return given
