"""KnOTS and Core space: what goes into a space comes back, and neither signs, order nor size of what is there decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelweave.errors import ParameterError
from modelweave.weights.combine.rule import RULES
from modelweave.weights.spaces.core_space import core_space
from modelweave.weights.spaces.knots import knots

from .helpers import changes, context, merged_changes, reference_iso_c, reference_tsv_m, svd

SPACES = [knots, core_space]


SHAPES = [(24, 24), (16, 64), (64, 16)]


by_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.__name__)


by_rule = pytest.mark.parametrize("rule", RULES)


by_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def low_rank(shape: tuple[int, int], members: int = 3, rank: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) for _ in range(members)])


def decaying(shape: tuple[int, int], power: float, members: int = 4, seed: int = 0) -> np.ndarray:
    """Changes whose singular values fall as 1, 2^-power, 3^-power, ..., as those of whole fine-tunes do."""
    rng = np.random.default_rng(seed)
    k = min(shape)
    sides = [[np.linalg.qr(rng.standard_normal((side, k)))[0] for side in shape] for _ in range(members)]
    return np.stack([u * np.arange(1, k + 1.0) ** -power @ v.T for u, v in sides])


def outside(result: np.ndarray, deltas: np.ndarray) -> float:
    """The share of the result's energy that is not in the joint column and row spaces of the changes."""
    u = np.linalg.svd(np.concatenate(deltas, 1), full_matrices=False)
    v = np.linalg.svd(np.concatenate(deltas, 0).T, full_matrices=False)
    p, q = (b[:, s > 1e-9 * s[0]] for b, s, _ in (u, v))
    return float(np.sum((result - p @ p.T @ result @ q @ q.T) ** 2) / np.sum(result**2))


@by_space
@by_shape
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 4.0])
def test_sums_are_exact_whatever_the_spectrum(space: Any, shape: tuple[int, int], power: float) -> None:
    """Directions under the numerical rank are no coordinates, and still not lost."""
    deltas, weights = decaying(shape, power), [1.0, 2.0, 0.5, -1.0]
    total = np.einsum("j,jkl", weights, deltas)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-6)):
        found = merged_changes(space.__name__, deltas, dtype, rule="task_arithmetic", weight=weights)
        assert np.linalg.norm(found - total) < tolerance * np.linalg.norm(total)


def test_the_cut_that_must_not_lose_anything_is_there() -> None:
    deltas = torch.tensor(decaying((64, 16), 4.0))
    assert knots(deltas, context(deltas))[0].shape[1] < 64


@by_shape
def test_knots_coordinates_are_s_times_v(shape: tuple[int, int]) -> None:
    deltas = low_rank(shape)
    _, s, v = np.linalg.svd(np.concatenate(deltas, 1), full_matrices=False)
    expected = np.stack(np.split(s[:12, None] * v[:12], 3, axis=1))
    found = knots(torch.tensor(deltas), context(torch.tensor(deltas)))[0].numpy()
    signs = np.sign((found * expected).sum((0, 2)))
    assert np.allclose(found * signs[:, None], expected, atol=1e-6)


@by_space
@by_shape
def test_lengths_and_angles_are_kept(space: Any, shape: tuple[int, int]) -> None:
    deltas = torch.tensor(low_rank(shape))
    inside, back = space(deltas, context(deltas))
    assert inside.shape[1] == 12
    assert space is knots or inside.shape[2] == 12
    assert torch.allclose(torch.einsum("ikl,jkl->ij", inside, inside), torch.einsum("ikl,jkl->ij", deltas, deltas), rtol=1e-9)
    assert torch.allclose(back(inside[1]), deltas[1], atol=1e-9)


@by_rule
@pytest.mark.parametrize("over", ["nothing", "a base"])
def test_adapters_leave_no_energy_outside_their_span(rule: str, over: str) -> None:
    """Three adapters of rank 4 on a layer of 64 x 64, alone and added to a base in float32."""
    deltas = low_rank((64, 64))
    base = None if over == "nothing" else 10 * np.random.default_rng(7).standard_normal((64, 64))
    found = merged_changes("core_space", deltas, torch.float32, base, rule=rule)
    assert outside(found, deltas) < (1e-12 if base is None else 1e-10)


def test_the_same_measure_finds_what_goes_astray() -> None:
    """Isotropic over all 64 directions, as the authors' code is on whole matrices: most of it is outside."""
    deltas = low_rank((64, 64))
    u, s, v = np.linalg.svd(deltas.sum(0))
    assert outside(s.mean() * u @ v, deltas) > 0.6


@by_space
@by_rule
@by_shape
def test_order_does_not_matter(space: Any, rule: str, shape: tuple[int, int]) -> None:
    for deltas in (low_rank(shape), decaying(shape, 1.0)):
        first = merged_changes(space.__name__, deltas, rule=rule)
        for order in ([*range(1, len(deltas)), 0], range(len(deltas))[::-1]):
            assert np.allclose(merged_changes(space.__name__, deltas[list(order)], rule=rule), first, atol=1e-7 * np.abs(first).max())


@by_space
@by_rule
@pytest.mark.parametrize("size", [1e-9, 1e6])
def test_size_does_not_matter(space: Any, rule: str, size: float) -> None:
    deltas = low_rank((24, 24))
    one = merged_changes(space.__name__, deltas, rule=rule)
    assert np.allclose(merged_changes(space.__name__, size * deltas, rule=rule) / size, one, atol=1e-9 * np.abs(one).max())


@by_space
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_votes_that_cancel_elect_nothing(space: Any, density: float) -> None:
    """Singular vectors have arbitrary signs: a sign to fall back on would make the result plus or minus d by chance."""
    delta = low_rank((24, 24), members=1)[0]
    assert not merged_changes(space.__name__, np.stack([delta, -delta]), rule="ties", density=density).any()


@by_space
def test_isotropic_merging_does_not_see_the_space(space: Any) -> None:
    deltas = low_rank((24, 24))
    assert np.allclose(merged_changes(space.__name__, deltas, rule="iso_c"), merged_changes("iso_c", deltas), atol=1e-7)


@by_space
@by_rule
def test_odd_changes_give_numbers(space: Any, rule: str) -> None:
    deltas = low_rank((6, 9), rank=6)
    assert not merged_changes(space.__name__, 0 * deltas, rule=rule).any()
    odd = [deltas[:1], np.stack([deltas[0]] * 3), deltas * [[[0]], [[0]], [[1]]], low_rank((2, 3), members=7), low_rank((1, 1))]
    for few in odd:
        for dtype in (torch.float32, torch.float64):
            found = merged_changes(space.__name__, few, dtype, rule=rule, density=0.01)
            assert 0 <= np.linalg.norm(found) <= 3 * np.linalg.norm(few, axis=(1, 2)).sum()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_knots_is_ties_on_the_right_factors(shape: tuple[int, int]) -> None:
    deltas = changes(shape, rank=3)
    u, s, v = svd(np.concatenate(deltas, 1))
    kept = s > 1e-9 * s[0]
    u, sv = u[:, kept], np.diag(s[kept]) @ v[kept]
    parts = np.split(sv, 3, axis=1)
    expected = u @ merged_changes("ties", np.stack(parts), density=0.2)
    assert np.allclose(merged_changes("knots", deltas), expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("method", ["knots", "core_space"])
@pytest.mark.parametrize("rank", [2, None])
def test_sums_in_a_space_are_sums(method: str, shape: tuple[int, int], rank: int | None) -> None:
    deltas = changes(shape, rank=rank)
    assert np.allclose(
        merged_changes(method, deltas, rule="task_arithmetic", weight=[1, 2, 3]), np.einsum("i,ijk", [1, 2, 3], deltas), atol=1e-9
    )


@pytest.mark.parametrize("rule", ["tsv_m", "iso_c"])
def test_a_core_is_the_reference_factors_core_rotated(rule: str) -> None:
    """The authors' bases come from the stacked LoRA factors; rules that do not see rotations give the same."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 4, 30)), rng.standard_normal((3, 25, 4))
    u, v = svd(np.concatenate(b, 1))[0], svd(np.concatenate(a, 0))[2]
    cores = np.stack([u.T @ bi @ ai @ v.T for ai, bi in zip(a, b, strict=True)])
    expected = u @ {"tsv_m": reference_tsv_m, "iso_c": reference_iso_c}[rule](cores) @ v
    assert np.allclose(merged_changes("core_space", b @ a, rule=rule), expected, atol=1e-6)


@by_space
def test_an_unknown_rule_is_refused(space: Any) -> None:
    with pytest.raises(ParameterError, match="rule must be one of task_arithmetic, ties, tsv_m, iso_c"):
        merged_changes(space.__name__, low_rank((4, 4)), rule="mean")
