"""Several maps of one query as one: their product, or their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError


def fuse(maps: Sequence[ArrayLike], *, weights: Sequence[float] | None = None, floor: float = 1e-12) -> NDArray[np.float64]:
    """The product of maps, each to the power of its weight (log-linear pooling).

    log F = sum_s weight_s * log(m_s / sum(m_s) + floor), then each map is scaled to sum 1.

    For more maps than memory holds, fuse blocks of queries and give them to recall_vs_area one by one.

    Args:
        maps: one (queries, cells) array a source, not negative, in any scale.
        weights: one a source, from 0, by default 1; a source of weight 0 is left out, whatever is in it.
        floor: in (0, 1), so that no source alone can rule out a cell; beside maps of sum 1.

    Returns:
        (queries, cells), rows of sum 1.

    Raises:
        CompatibilityError: for maps that do not fit each other, are negative, not finite or all zero.
        ParameterError: for options.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862; weights and floor are inferred.

    >>> fuse([[[0.4, 0.3, 0.2, 0.1]], [[0.1, 0.1, 0.7, 0.1]]]).round(6)
    array([[0.181818, 0.136364, 0.636364, 0.045455]])
    """
    if not 0 < floor < 1:
        raise ParameterError(f"fuse: floor must be in (0, 1), got {floor}; without one a source's zeros rule out the truth")
    sources, powers = _sources("fuse", maps, weights)
    if len(sources) == 1 and powers[0] == 1:
        return _to_one("fuse", _to_one("fuse", sources[0]) + floor)
    total = np.zeros(sources[0].shape)
    for source, power in zip(sources, powers, strict=True):
        logs = _to_one("fuse", source)
        logs += floor
        total += power * np.log(logs, out=logs)
    total -= total.max(axis=1, keepdims=True)
    return _to_one("fuse", np.exp(total, out=total))


def average(maps: Sequence[ArrayLike], *, weights: Sequence[float] | None = None) -> NDArray[np.float64]:
    """The arithmetic mean of maps, each scaled to sum 1 first: what the product is measured against.

    F = sum_s weight_s * m_s / sum(m_s), over the sum of weights.

    Args:
        maps: one (queries, cells) array a source, not negative, in any scale.
        weights: one a source, from 0, by default 1.

    Returns:
        (queries, cells), rows of sum 1.

    Raises:
        CompatibilityError: for maps that do not fit each other, are negative, not finite or all zero.
        ParameterError: for weights.

    >>> average([[[0.4, 0.6]], [[9.0, 1.0]]])
    array([[0.65, 0.35]])
    """
    sources, shares = _sources("average", maps, weights)
    total = np.zeros(sources[0].shape)
    for source, share in zip(sources, shares, strict=True):
        total += share * _to_one("average", source)
    return _to_one("average", total)


def _sources(where: str, maps: Sequence[ArrayLike], weights: Sequence[float] | None) -> tuple[list[NDArray[np.float64]], list[float]]:
    """The sources that have weight, checked, and their weights."""
    if len(maps) == 0:
        raise CompatibilityError(f"{where}: no maps; expected at least one source")
    powers = [1.0] * len(maps) if weights is None else [float(w) for w in weights]
    if len(powers) != len(maps):
        raise ParameterError(f"{where}: {len(maps)} sources but {len(powers)} weights; give one a source")
    if not all(0 <= w < np.inf for w in powers) or not any(powers):
        raise ParameterError(f"{where}: weights must be finite, not negative and not all 0, got {powers}")
    sources = [np.asarray(m, np.float64) for m, w in zip(maps, powers, strict=True) if w]
    for source in sources:
        if source.ndim != 2 or source.shape != sources[0].shape:
            shapes = ", ".join(str(s.shape) for s in sources)
            raise CompatibilityError(f"{where}: expected one (queries, cells) for all sources, got {shapes}")
        if not (source.size and source.min() >= 0 and source.max() < np.inf):
            raise CompatibilityError(f"{where}: maps must be finite, not negative and not empty; exponentiate log scores first")
    return sources, [w for w in powers if w]


def _to_one(where: str, maps: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = maps.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise CompatibilityError(
            f"{where}: the map of query {int(np.argmin(sums))} is zero everywhere; a source that knows nothing is uniform"
        )
    return np.asarray(maps / sums)
