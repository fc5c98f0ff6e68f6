"""Points that stand for the simplex of all mixtures, with what each of them counts."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError

Floats = NDArray[np.float64]
STEPS = {3: 40, 4: 16}
"""Subdivisions of an edge for three and four components: 861 and 969 points."""
NODES = 200
DRAWS = 4096


def simplex_points(components: int, *, points: int | None = None, prior: float = 1.0, seed: int = 0) -> tuple[Floats, Floats]:
    """(points, components) mixtures and (points,) shares that sum to 1, for means over a Dirichlet(prior) distribution.

    Two components and the uniform prior 1: Gauss-Legendre nodes, exact for the wealth of up to 2 * points - 1 periods. Three and four: the
    centres of a regular grid. Else draws, each with all its rotations, so that components are treated alike. points: about how many.

    >>> grid, share = simplex_points(3, points=6)
    >>> len(grid), (share @ grid).round(12).tolist()
    (6, [0.333333333333, 0.333333333333, 0.333333333333])
    """
    if components < 1 or not prior > 0 or (points is not None and points < 1):
        raise ParameterError(
            f"universal mixture: expected components and points of at least 1 and a prior above 0, got {components}, {points}, {prior}"
        )
    if components == 1:
        return np.ones((1, 1)), np.ones(1)
    if prior == 1 and components == 2:
        nodes, shares = np.polynomial.legendre.leggauss(points or NODES)
        return np.stack([(1 - nodes) / 2, (1 + nodes) / 2], axis=1), shares / shares.sum()
    if prior == 1 and components in STEPS:
        steps = STEPS[components]
        if points is not None:
            steps = max((m for m in range(200) if comb(m + components - 1, components - 1) <= points), default=0)
        grid = _grid(steps, components)
        # one more step, with every point in the middle of its cell
        found = (grid + 1 / components) / (steps + 1)
        return found, np.full(len(found), 1 / len(found))
    random = np.random.default_rng(seed)
    draws = random.dirichlet(np.full(components, prior), -(-(points or DRAWS) // components))
    found = np.concatenate([np.roll(draws, shift, axis=1) for shift in range(components)])
    return found, np.full(len(found), 1 / len(found))


def _grid(steps: int, components: int) -> Floats:
    """All ways to share `steps` among the components, a row each."""
    bars = np.array(list(combinations(range(steps + components - 1), components - 1)), dtype=np.float64)
    edges = np.column_stack([np.full(len(bars), -1.0), bars, np.full(len(bars), steps + components - 1.0)])
    return np.diff(edges, axis=1) - 1
