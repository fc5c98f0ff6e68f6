"""Isotropic merging against the paper in slow float64 steps."""

from __future__ import annotations

import numpy as np

from .helpers import by_shape, check_against, polar, reference_iso_c, svd


def reference_iso_cts(deltas: np.ndarray, fraction: float = 0.8) -> np.ndarray:
    size, n = min(deltas.shape[1:]), len(deltas)
    own = round((size - int(size * fraction)) / n)
    common = size - own * n
    u, s, v = (x for x in svd(deltas.sum(0)))
    us, ss, vs = [u[:, :common]], [s[:common]], [v[:common]]
    for d in deltas:
        a, b, c = svd(d - us[0] @ us[0].T @ d)
        us.append(a[:, :own]), ss.append(b[:own]), vs.append(c[:own])
    return np.concatenate(ss).mean() * polar(np.concatenate(us, 1)) @ polar(np.concatenate(vs, 0))


@by_shape
def test_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_iso_c, "iso_c", shape)


@by_shape
def test_common_and_task_specific_directions_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_iso_cts, "iso_cts", shape)
