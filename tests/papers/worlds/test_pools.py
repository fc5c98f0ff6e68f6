"""The made pools and the library of classifiers."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import pools as world


def test_pools_are_what_they_say() -> None:
    centres = np.eye(6) * 10
    pools, marks = world.minority(np.random.default_rng(0), centres, 50)
    assert marks.sum(axis=1).tolist() == [3] * 50
    for pool, mark in zip(pools, marks, strict=True):
        nearest = pool.argmax(axis=1)
        assert len(set(nearest[mark == 1])) == 1 and len(set(nearest[mark == 0])) == 1 and nearest[mark == 1][0] != nearest[mark == 0][0]
    points, rare = world.moons(np.random.default_rng(0), 200)
    assert rare.sum(axis=1).tolist() == [3] * 200
    # the upper moon lies on the unit circle around the origin, the lower one around (1, 1/2)
    upper = np.abs(np.hypot(points[..., 0], points[..., 1]) - 1) < np.abs(np.hypot(points[..., 0] - 1, points[..., 1] - 0.5) - 1)
    shares = np.array([np.mean(u[m == 1]) for u, m in zip(upper, rare, strict=True)])
    assert 0.3 < shares.mean() < 0.7 and np.mean((shares > 0.9) | (shares < 0.1)) > 0.5


def test_the_library_is_of_real_predictions() -> None:
    models, y = world.library(0)
    assert len(models) == 48 and all(p.shape == (900, 10) for p in models.values())
    assert all(p.sum(axis=1) == pytest.approx(np.ones(900)) for p in models.values())
    scores = [np.mean(p.argmax(axis=1) == y) for p in models.values()]
    assert min(scores) > 0.2 and max(scores) < 0.97
