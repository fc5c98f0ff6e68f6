"""Task singular vectors against the paper in slow float64 steps."""

from __future__ import annotations

import numpy as np

from .helpers import by_shape, changes, check_against, merged_changes, reference_tsv_m, svd


def test_identical_members_share_their_directions() -> None:
    delta = changes((6, 9), members=1)[0]
    u, s, v = svd(delta)
    first = u[:, :2] @ np.diag(s[:2]) @ v[:2]
    assert np.allclose(merged_changes("tsv_m", np.stack([delta] * 3)), first, atol=1e-6)


@by_shape
def test_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_tsv_m, "tsv_m", shape)
