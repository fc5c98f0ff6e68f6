"""Consensus merging by hand and by a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from .helpers import cubes, merged_arrays

# consensus


def test_consensus_by_hand() -> None:
    tau = [(1, 2, 1, 0), (1, 0.1, -1, 0), (1, 0.1, 0.5, 0)]
    # sums 3, 2.2, 0.5: at 0 all see 1 > 0.4 * 2; at 1 only the first sees itself; at 2 they see 1 > 0.4 * 0.5, 1 > 0.4 * 1.5, 0.5 > 0
    assert merged_arrays(tau, method="consensus") == pytest.approx((3, 0, 0.5, 0))
    assert merged_arrays(tau, method="consensus", agree=1) == pytest.approx((3, 2.2, 0.5, 0))
    assert merged_arrays(tau, method="consensus", agree=0) == pytest.approx((3, 2.2, 0.5, 0))
    assert merged_arrays(tau, method="consensus", agree=4).tolist() == [0, 0, 0, 0]
    assert merged_arrays(tau, method="consensus", agree=3, mask_lambda=[0.4, 0.4, 2]) == pytest.approx((0, 0, 0.5, 0))


@pytest.mark.parametrize("agree", [1, 2, 3])
def test_consensus_is_a_slow_loop(agree: int) -> None:
    tau, weights, strictness = cubes(4, 200), (1.0, 0.5, 0.7, 2.0), (0.2, 0.3, 0.5, 0.6)
    expected = np.zeros(200)
    for at in range(200):
        total = sum(w * t[at] for w, t in zip(weights, tau, strict=True))
        votes = sum(abs(t[at]) > s * abs(total - t[at]) for s, t in zip(strictness, tau, strict=True))
        expected[at] = total if votes >= agree else 0
    found = merged_arrays(tau, method="consensus", weight=list(weights), mask_lambda=list(strictness), agree=agree)
    assert found == pytest.approx(expected)
