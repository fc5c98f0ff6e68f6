"""Centred task arithmetic at low rank against the paper in slow float64 steps."""

from __future__ import annotations

import numpy as np

from modelweave.weights.part import Context

from .helpers import by_shape, changes, check_against, merged_changes, svd


def reference_cart(deltas: np.ndarray, share: float = 0.2) -> np.ndarray:
    mean = deltas.mean(0)
    total = mean.copy()
    for d in deltas:
        u, s, v = svd(d - mean)
        k = int(np.ceil(share * len(s)))
        total += u[:, :k] @ np.diag(s[:k]) @ v[:k]
    return total


def test_cart_with_all_directions_is_the_mean() -> None:
    deltas = changes((6, 9))
    assert np.allclose(merged_changes("cart", deltas, rank_share=1.0), deltas.mean(0), atol=1e-8)
    assert Context("w", ()).members == ()


@by_shape
def test_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_cart, "cart", shape, rank_share=0.2)
