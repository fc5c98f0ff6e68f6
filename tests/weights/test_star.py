"""STAR against the paper in slow float64 steps."""

from __future__ import annotations

import numpy as np

from .helpers import by_shape, check_against, svd


def reference_star(deltas: np.ndarray, share: float = 0.4) -> np.ndarray:
    total = 0
    for d in deltas:
        u, s, v = svd(d)
        r = int(np.searchsorted(s.cumsum(), s.sum() * share)) + 1
        total = total + u[:, :r] @ np.diag(s[:r]) @ v[:r] * s.sum() / s[:r].sum()
    return total / len(deltas)


@by_shape
def test_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_star, "star", shape)
