"""Points that stand for the simplex of all mixtures, with what each of them counts."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

Floats = NDArray[np.float64]
STEPS = {3: 40, 4: 16}
"""Subdivisions of an edge for three and four components: 861 and 969 points."""
NODES = 200
DRAWS = 4096


def simplex_points(components: int, *, points: int | None = None, prior: float = 1.0, seed: int = 0) -> tuple[Floats, Floats]:
    """(points, components) mixtures and (points,) shares that sum to 1, for means over a Dirichlet(prior) distribution.

    Two components: Gauss nodes, exact for the wealth of up to 2 * points - 1 periods (Legendre for prior 1, in panels of 200 beyond 400
    points, which are exact up to 399 periods; Chebyshev for prior 1/2). Three and four with prior 1: the centres of a regular grid. Else
    draws, each with all its rotations, so that components are treated alike. points: about how many.

    Raises ParameterError for less than one component or point, or a prior that is not above 0.

    >>> grid, share = simplex_points(3, points=6)
    >>> len(grid), (share @ grid).round(12).tolist()
    (6, [0.333333333333, 0.333333333333, 0.333333333333])
    """
    if components < 1 or not 0 < prior < np.inf or (points is not None and points < 1):
        raise ParameterError(
            f"universal mixture: expected components and points of at least 1 and a prior above 0, got {components}, {points}, {prior}"
        )
    if components == 1:
        return np.ones((1, 1)), np.ones(1)
    if components == 2 and prior in (1, 0.5):
        nodes, shares = _legendre(points or NODES) if prior == 1 else _chebyshev(points or NODES)
        return np.stack([1 - nodes, nodes], axis=1), shares.copy()
    if prior == 1 and components in STEPS:
        grid = _grid(STEPS[components] if points is None else _steps(points, components), components)
        # one more step, with every point in the middle of its cell
        found = (grid + 1 / components) / (grid[0].sum() + 1)
        return found, np.full(len(found), 1 / len(found))
    random = np.random.default_rng(seed)
    draws = random.dirichlet(np.full(components, prior), -(-(points or DRAWS) // components))
    found = np.concatenate([np.roll(draws, shift, axis=1) for shift in range(components)])
    return found, np.full(len(found), 1 / len(found))


@lru_cache(maxsize=8)
def _legendre(points: int) -> tuple[Floats, Floats]:
    """Nodes in (0, 1) and their shares. Finding n nodes of one panel takes n^3 steps, hence panels."""
    panels = 1 if points <= 2 * NODES else -(-points // NODES)
    nodes, shares = np.polynomial.legendre.leggauss(points if panels == 1 else NODES)
    nodes = (np.arange(panels)[:, None] + (1 + nodes) / 2) / panels
    return nodes.ravel(), np.tile(shares / shares.sum(), panels) / panels


def _chebyshev(points: int) -> tuple[Floats, Floats]:
    """Dirichlet(1/2) of two components is the law of (1 - cos U) / 2, U uniform in (0, pi): Gauss nodes are the middles of equal arcs."""
    nodes = np.sin(np.pi * (np.arange(points) + 0.5) / (2 * points)) ** 2
    return nodes, np.full(points, 1 / points)


def _steps(points: int, components: int) -> int:
    """The finest grid of no more than so many points."""
    steps = 0
    while comb(steps + components, components - 1) <= points:
        steps += 1
    return steps


def _grid(steps: int, components: int) -> Floats:
    """All ways to share `steps` among the components, a row each."""
    bars = np.array(list(combinations(range(steps + components - 1), components - 1)), dtype=np.float64)
    edges = np.column_stack([np.full(len(bars), -1.0), bars, np.full(len(bars), steps + components - 1.0)])
    return np.diff(edges, axis=1) - 1
