"""CABS by hand and by a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.errors import ParameterError

from .helpers import Array, cubes, merged_arrays


def cabs(tau: Array, n: int, m: int) -> Array:
    """(members, rows, last): what each member keeps, block by block and entry by entry."""
    kept = np.zeros_like(tau)
    members, rows, last = tau.shape
    for row in range(rows):
        for start in range(0, last, m):
            block = range(start, min(start + m, last))
            room, free = -(-n * len(block) // m), list(block)
            for member in range(members):
                for at in sorted(free, key=lambda k: (-abs(tau[member, row, k]), k))[:room]:
                    kept[member, row, at] = tau[member, row, at]
                    free.remove(at)
    return kept


def test_cabs_by_hand_and_the_order_matters() -> None:
    tau = [(4, 3, 2, 1), (4, 3, 2, 1)]
    assert merged_arrays(tau, method="cabs", n=1, m=4, weight=[1, 10]).tolist() == [4, 30, 0, 0]
    assert merged_arrays(tau, method="cabs", n=1, m=4, weight=[10, 1]).tolist() == [40, 3, 0, 0]
    assert merged_arrays(tau, method="cabs", n=1, m=2, weight=[1, 10]).tolist() == [4, 30, 2, 10]
    assert merged_arrays(tau, method="cabs", n=3, m=4, weight=[1, 10]).tolist() == [4, 3, 2, 10]


def test_cabs_ranks_equal_ones_by_place() -> None:
    assert merged_arrays([(1, -1, 1, 1), (1, 1, 1, 2)], method="cabs", n=1, m=4, weight=[1, 10]).tolist() == [1, 0, 0, 20]


@pytest.mark.parametrize(("n", "m"), [(1, 4), (3, 7), (2, 5), (8, 8), (3, 100)])
def test_cabs_is_a_slow_loop_with_disjoint_supports(n: int, m: int) -> None:
    tau = cubes(3, 6, 35).round(1)
    kept = cabs(tau, n, m)
    assert ((kept != 0).sum(0) <= 1).all()
    assert merged_arrays(tau, method="cabs", n=n, m=m) == pytest.approx(kept.sum(0), abs=1e-12)


def test_cabs_keeps_its_share_of_each_block() -> None:
    found = merged_arrays(cubes(1, 10, 512), method="cabs")
    assert ((found.reshape(-1, 256) != 0).sum(1) == 64).all()


def test_cabs_refuses_more_than_the_block_holds() -> None:
    with pytest.raises(ParameterError, match="n must be at most m, got 9 of 8"):
        merged_arrays(cubes(2, 8), method="cabs", n=9, m=8)
