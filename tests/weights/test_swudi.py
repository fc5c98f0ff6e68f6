"""Spectral WUDI against the flow that it solves, the least squares that the flow ends in, and cases with a known answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import modelweave

from .helpers import changes, check_against, merged_changes

SHAPES = [(5, 7), (7, 5), (6, 6), (3, 25)]

by_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def merged(deltas: np.ndarray, dtype: torch.dtype = torch.float64, **options: Any) -> np.ndarray:
    base = {"w": torch.zeros(deltas.shape[1:], dtype=dtype)}
    members = [{"w": torch.tensor(d).to(dtype)} for d in deltas]
    return modelweave.merge(members, method="swudi", base=base, **options)["w"].double().numpy()


def normal_equation(deltas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C and D of the loss's gradient x C - D."""
    c, d = np.zeros((deltas.shape[2],) * 2), np.zeros(deltas.shape[1:])
    for delta in deltas:
        c += delta.T @ delta / np.sum(delta**2)
        d += delta @ delta.T @ delta / np.sum(delta**2)
    return c, d


@by_shape
@pytest.mark.parametrize("time", [0.5, 4.0])
def test_it_is_gradient_flow_from_the_sum(shape: tuple[int, int], time: float) -> None:
    """Integrated by 400 explicit steps of fourth order, with the gradient of each member's loss written out."""
    deltas = changes(shape)

    def down(x: np.ndarray) -> np.ndarray:
        return -sum((x - d) @ d.T @ d / np.sum(d**2) for d in deltas)

    x, step = deltas.sum(0), time / 400
    for _ in range(400):
        a = down(x)
        b = down(x + step / 2 * a)
        c = down(x + step / 2 * b)
        x = x + step / 6 * (a + 2 * b + 2 * c + down(x + step * c))
    assert np.allclose(merged(deltas, time=time, rank_share=1.0), x, atol=1e-9)


@by_shape
def test_a_long_flow_ends_in_least_squares(shape: tuple[int, int]) -> None:
    """Of all minima the one nearest to the sum: minimise sum_j |(sum + y - d_j) d_j'|^2 / |d_j|^2 over y of least norm."""
    deltas = changes(shape)
    start = deltas.sum(0)
    rows = np.concatenate([d / np.linalg.norm(d) for d in deltas])
    target = np.concatenate([d @ (d - start).T / np.linalg.norm(d) for d in deltas])
    best = start + np.linalg.lstsq(rows, target, rcond=1e-10)[0].T
    assert np.allclose(merged(deltas, time=1e9, rank_share=1.0), best, atol=1e-6)


@by_shape
def test_no_time_is_the_sum(shape: tuple[int, int]) -> None:
    deltas = changes(shape)
    assert np.allclose(merged(deltas, time=0.0, weight=[1, 2, 3]), np.einsum("j,jkl", [1, 2, 3], deltas), atol=1e-12)


def test_loss_falls_as_fast_as_the_flow_must() -> None:
    """What the loss has beyond its minimum is a sum of terms that fall as exp(-2 L time), so the smallest L bounds it."""
    deltas = changes((8, 8))
    c, d = normal_equation(deltas)
    slowest = np.linalg.eigvalsh(c)[0]

    def loss(x: np.ndarray) -> float:
        return sum(float(np.sum(((x - d) @ d.T) ** 2) / np.sum(d**2)) for d in deltas)

    least, times = loss(d @ np.linalg.inv(c)), (0.0, 0.3, 3.0, 30.0)
    beyond = [loss(merged(deltas, time=t, rank_share=1.0)) - least for t in times]
    assert beyond == sorted(beyond, reverse=True)
    assert all(0 < b <= beyond[0] * np.exp(-2 * slowest * t) + 1e-9 for b, t in zip(beyond, times, strict=True))


def test_members_that_do_not_interfere_are_added() -> None:
    """Row spaces that are orthogonal: the sum has no loss, and any time leaves it."""
    deltas = np.zeros((3, 6, 9))
    for j in range(3):
        deltas[j, :, 3 * j : 3 * j + 3] = changes((6, 3), members=1, seed=j)[0]
    for time in (1.0, 300.0):
        assert np.allclose(merged(deltas, time=time), deltas.sum(0), atol=1e-9)


def test_members_that_are_the_same_count_once() -> None:
    delta = changes((6, 6), members=1)[0]
    assert np.allclose(merged(np.stack([delta] * 3), time=1e9, rank_share=1.0), delta, atol=1e-6)
    assert np.allclose(merged(delta[None]), delta, atol=1e-9)


@pytest.mark.parametrize(("share", "columns", "filtered"), [(0.65, 6, 4), (0.5, 6, 3), (0.01, 6, 1), (0.07, 100, 7)])
def test_only_the_leading_share_of_directions_is_filtered(share: float, columns: int, filtered: int) -> None:
    deltas = changes((columns, columns))
    c, d = normal_equation(deltas)
    values, v = np.linalg.eigh(c)
    moved = (merged(deltas, time=300.0, rank_share=share) - deltas.sum(0)) @ v[:, ::-1]
    assert np.abs(moved[:, filtered:]).max() < 1e-8
    f = 1 - np.exp(-300 * values[::-1])
    expected = ((d @ v - deltas.sum(0) @ (v * values)) / values)[:, ::-1] * f
    assert np.allclose(moved[:, :filtered], expected[:, :filtered], atol=1e-7)
    assert np.abs(moved[:, filtered - 1]).max() > 1e-4


@pytest.mark.parametrize("size", [1e-3, 1e-8, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_size_does_not_matter(size: float, dtype: torch.dtype) -> None:
    """The loss divides by each member's own energy; a threshold on energies would break this for small tensors."""
    deltas = changes((4, 6))
    one = merged(deltas, dtype)
    assert np.allclose(merged(size * deltas, dtype) / size, one, atol=(2e-6 if dtype is torch.float32 else 1e-9) * np.abs(one).max())


def test_a_small_member_has_its_say() -> None:
    """A member a million times smaller: its own directions keep its change, whatever the others do there."""
    deltas = changes((6, 6), members=2) * [[[1.0]], [[1e-6]]]
    c, d = normal_equation(deltas)
    assert np.allclose(merged(deltas, time=1e9, rank_share=1.0), d @ np.linalg.inv(c), rtol=1e-6, atol=1e-8)


def test_a_member_without_changes_changes_nothing() -> None:
    deltas = changes((6, 9))
    assert np.array_equal(merged(np.concatenate([deltas, 0 * deltas[:1]])), merged(deltas))


@by_shape
def test_weights_and_order(shape: tuple[int, int]) -> None:
    deltas, weights = changes(shape), [1.0, 2.0, -0.5]
    found = merged(deltas, weight=weights)
    assert np.allclose(found, merged(deltas * np.reshape(weights, (3, 1, 1))), atol=1e-10)
    assert np.allclose(merged(deltas[::-1].copy(), weight=weights[::-1]), found, atol=1e-9)


def reference_swudi(deltas: np.ndarray, time: float = 300, share: float = 0.65) -> np.ndarray:
    norms = (deltas**2).sum((1, 2))
    c = sum(d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    big = sum(d @ d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    values, v = np.linalg.eigh(c)
    f = 1 - np.exp(-time * values)
    f[: len(f) - int(np.ceil(share * len(f)))] = 0
    start = deltas.sum(0)
    safe = np.maximum(values, 1e-8)
    return start - start @ v @ np.diag(f) @ v.T + big @ v @ np.diag(f / safe) @ v.T


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (15, 15)], ids=str)
def test_as_in_the_paper(shape: tuple[int, int]) -> None:
    check_against(reference_swudi, "swudi", shape)


def test_swudi_is_the_flow_down_its_loss() -> None:
    deltas = changes((5, 7))
    norms = (deltas**2).sum((1, 2))
    x, step = deltas.sum(0), 1e-3
    for _ in range(3000):
        x = x - step * sum((x - d) @ d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    assert np.allclose(merged_changes("swudi", deltas, time=3.0, rank_share=1.0), x, atol=2e-3)
    loss = [sum(np.linalg.norm((m - d) @ d.T) ** 2 / n for d, n in zip(deltas, norms, strict=True)) for m in (deltas.sum(0), x)]
    best = merged_changes("swudi", deltas, time=1e9, rank_share=1.0)
    c = sum(d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    assert loss[1] < loss[0]
    assert np.allclose(best @ c, sum(d @ d.T @ d / n for d, n in zip(deltas, norms, strict=True)), atol=1e-6)
