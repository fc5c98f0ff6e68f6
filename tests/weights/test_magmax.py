"""MagMax by hand."""

from __future__ import annotations

import numpy as np

from .helpers import cubes, merged_arrays


def test_magmax_takes_the_largest_change_and_of_equal_ones_the_last() -> None:
    assert merged_arrays([(1, -4, 2, 0), (-3, 1, -2, 0)], method="magmax").tolist() == [-3, -4, -2, 0]
    assert merged_arrays([(1, -4, 2, 0), (-3, 1, -2, 0)], method="magmax", scale=0.5).tolist() == [-1.5, -2, -1, 0]
    tau = cubes(5, 300)
    assert np.array_equal(merged_arrays(tau, method="magmax"), tau[abs(tau).argmax(0), np.arange(300)])
