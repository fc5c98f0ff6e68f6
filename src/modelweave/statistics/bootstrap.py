"""The paired bootstrap: a statistic on samples of the rows, drawn with replacement, that all candidates share.

Groups are drawn whole. Means are drawn from sums by row or group, in at most 10,000 bundles of them, so that a draw costs the same for
ten thousand rows and for a million, and no matrix of draws by rows is ever held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError

Array = NDArray[Any]
Floats = NDArray[np.float64]

DRAWS = 1000
LEVEL = 0.95
BUNDLES = 10_000
"""Random bundles of rows have on average the spread of rows drawn alone, and so many show it to 1.4 percent."""


def resampled_means(
    values: ArrayLike, *, weight: Array | None = None, groups: Array | None = None, draws: int = DRAWS, seed: int = 0
) -> Floats:
    """Weighted means of several columns on bootstrap samples of the rows, the same samples for all columns.

    Args:
        values: (columns, rows).
        weight: (rows,), at least 0; None: all 1.
        groups: (rows,), what is drawn whole; None: each row alone.
        draws: how many samples, at least 1.
        seed: of the draws.

    Returns:
        (draws, columns), float64.

    Source: Efron and Tibshirani 1993, chapters 6 and 13.

    >>> resampled_means([[0.5, 0.5], [1.0, 1.0]], draws=2).tolist()
    [[0.5, 1.0], [0.5, 1.0]]
    """
    columns = np.asarray(values, np.float64)
    check_draws(draws)
    random = np.random.default_rng(seed)
    share, units, count = _units(columns.shape[1], weight, groups)
    if count > BUNDLES:
        units, count = (random.permutation(count) % BUNDLES)[units], BUNDLES
    table = np.stack([np.bincount(units, share * column, count) for column in columns])
    masses = np.bincount(units, share, count)
    found = np.empty((draws, len(columns)))
    for row in found:
        times = np.bincount(random.integers(count, size=count), minlength=count)
        row[:] = table @ times / max(float(masses @ times), 1e-300)
    return found


def resampled(
    statistic: Callable[[Floats], float],
    rows: int,
    *,
    weight: Array | None = None,
    groups: Array | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floats:
    """A statistic that is no mean on bootstrap samples: it gets each row's weight times how often the row was drawn, (rows,).

    Options as of `resampled_means`; a draw costs one call of the statistic. Returns (draws,).

    >>> resampled(lambda times: times.sum(), 3, draws=2).tolist()
    [3.0, 3.0]
    """
    check_draws(draws)
    random = np.random.default_rng(seed)
    share, units, count = _units(rows, weight, groups)
    chances = [1 / count] * count
    return np.array([statistic(share * random.multinomial(count, chances)[units]) for _ in range(draws)], np.float64)


def bootstrap_interval(
    differences: ArrayLike, *, groups: Array | None = None, draws: int = 2000, level: float = LEVEL, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval of the mean of paired differences.

    Args:
        differences: (rows,).
        groups: (rows,), what is drawn whole; None: each row alone.
        draws: how many samples, at least 1.
        level: in (0, 1).
        seed: of the draws.

    Returns:
        (low, high).

    Raises:
        ParameterError: for draws or level out of range.

    Source: Efron and Tibshirani 1993, chapter 13.

    >>> bootstrap_interval(np.full(10, 0.25))
    (0.25, 0.25)
    """
    means = resampled_means(np.asarray(differences)[None], groups=groups, draws=draws, seed=seed)
    return percentile_interval(means[:, 0], level)


def percentile_interval(drawn: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Between which values the middle `level` of the draws lies.

    Args:
        drawn: (draws,).
        level: in (0, 1).

    Returns:
        (low, high), NaN where there are no draws.

    Raises:
        ParameterError: for a level out of range.

    >>> percentile_interval(np.arange(9.0), 0.5)
    (2.0, 6.0)
    """
    low, high = np.quantile(drawn, tails(level)) if len(drawn) else (np.nan, np.nan)
    return float(low), float(high)


def tails(level: float) -> list[float]:
    """The two quantiles that bound an interval of that level.

    >>> tails(0.5)
    [0.25, 0.75]
    """
    if not 0 < level < 1:
        raise ParameterError(f"bootstrap: level must be in (0, 1), got {level}")
    return [(1 - level) / 2, (1 + level) / 2]


def bootstrap_p_value(drawn: Floats) -> float:
    """The two-sided p-value that a difference is 0, from its draws: twice the smaller tail, (1 + how many are beyond 0) / (1 + draws).

    Args:
        drawn: (draws,) of the difference.

    Returns:
        A number in (0, 1].

    >>> bootstrap_p_value(np.array([1.0, 2.0, -1.0]))
    1.0
    """
    below, above = ((1 + np.count_nonzero(beyond)) / (1 + len(drawn)) for beyond in (drawn <= 0, drawn >= 0))
    return float(min(1.0, 2 * min(below, above)))


def _units(rows: int, weight: Array | None, groups: Array | None) -> tuple[Floats, Array, int]:
    """Each row's weight, the number of the unit it is drawn with, and how many units there are."""
    share = np.ones(rows) if weight is None else np.asarray(weight, np.float64)
    units = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    return share, units, int(units.max()) + 1


def check_draws(draws: int) -> None:
    """Raise ParameterError unless there is at least one draw."""
    if draws < 1:
        raise ParameterError(f"bootstrap: draws must be at least 1, got {draws}")
