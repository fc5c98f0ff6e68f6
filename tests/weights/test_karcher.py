"""Karcher means and Multi-SLERP by closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import modelweave
from modelweave.weights.combine.sphere import karcher, multislerp

from .helpers import merged_rows


def test_the_mean_of_two_directions_halves_the_angle() -> None:
    a, b = np.array([1.0, 0.0]), np.array([math.cos(1.2), math.sin(1.2)])
    gram = np.array([[a @ a, a @ b], [a @ b, b @ b]])
    half = np.array([math.cos(0.6), math.sin(0.6)])
    for coefficients in (
        karcher(gram, [], max_iter=50, tol=1e-12),
        multislerp(gram, [{"weight": 1.0}, {"weight": 1.0}], normalize_weights=True, eps=1e-12),
    ):
        assert coefficients[0] * a + coefficients[1] * b == pytest.approx(half, abs=1e-9)


def test_karcher_mean_is_where_the_logarithms_cancel() -> None:
    rows = np.random.default_rng(3).standard_normal((4, 6))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = karcher(unit @ unit.T, [], max_iter=200, tol=1e-13) @ unit
    mean /= np.linalg.norm(mean)
    logs = [math.acos(u @ mean) * (u - (u @ mean) * mean) / np.linalg.norm(u - (u @ mean) * mean) for u in unit]
    assert np.abs(sum(logs)).max() < 1e-9


def test_opposite_directions_have_no_spherical_mean() -> None:
    with pytest.raises(modelweave.ModelweaveError, match="cancel"):
        merged_rows([(1, 0), (-1, 0), (1, 0), (-1, 0)], method="multislerp")
    assert merged_rows([(1, 0), (-1, 0)], method="multislerp") == [0, 0]
