"""Methods against numbers worked by hand, closed forms and slow loops in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import modelweave
from modelweave.weights.combine.sphere import karcher, multislerp, slerp


def merged(rows: Any, base: Any = None, **options: Any) -> list[float]:
    start = {"w": torch.tensor(base, dtype=torch.float64)} if base is not None else None
    members = [{"w": torch.tensor(r, dtype=torch.float64)} for r in rows]
    return [round(x, 9) + 0.0 for x in modelweave.merge(members, base=start, **options)["w"].reshape(-1).tolist()]


TAU = [
    (0.50, -0.10, 0.05, 0.30, -0.20, 0.01, 0.02, -0.03, 0.40, 0),
    (0.40, 0.20, -0.30, 0.10, -0.25, 0.03, -0.02, 0.60, -0.40, 0.01),
    (-0.60, 0.15, 0.35, -0.20, -0.05, 0.02, 0.04, 0.10, 0.05, -0.70),
]


def test_ties_by_hand() -> None:
    zero = [0.0] * 10
    # two entries a row stay (of equal ones the first), and at place 0 the plus signs win 0.9 to 0.6
    assert merged(TAU, zero, method="ties", density=0.2) == [0.45, 0, 0, 0, 0, 0, 0, 0.60, 0.40, -0.70]
    assert merged(TAU, zero, method="ties", density=0.5) == [0.45, 0.15, 0.35, 0.30, -0.225, 0, 0, 0.60, 0.40, -0.70]


def test_a_disagreeing_minority_is_left_out() -> None:
    assert merged([(1, -1, 2), (2, 3, -4), (3, 1, 1)], [0, 0, 0], method="ties") == [2, 2, -4]


def test_breadcrumbs_by_hand() -> None:
    w = [[10, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.5]]
    found = merged([w], [[0] * 5, [0] * 5], method="breadcrumbs", density=0.4, gamma=0.2)
    assert found == [0, 1, 2, 3, 0, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize("gamma", [0.0, 0.01])
def test_breadcrumbs_keeps_its_share_where_gamma_drops_nothing(gamma: float) -> None:
    found = merged([range(1, 11)], [0] * 10, method="breadcrumbs", density=0.5, gamma=gamma)
    assert found == [0, 0, 0, 0, 0, 6, 7, 8, 9, 10]


def test_task_arithmetic_by_hand() -> None:
    assert merged([(3, 5), (2, 2)], [1, 2], method="task_arithmetic", weight=[0.5, 2], scale=0.1) == [1.3, 2.15]


def test_lambda_is_another_name_of_scale() -> None:
    assert merged([(3, 5)], [1, 2], method="ties", **{"lambda": 0.5}) == merged([(3, 5)], [1, 2], method="ties", scale=0.5)


def test_slerp_of_orthogonal_inputs_keeps_the_norm() -> None:
    found = modelweave.merge([{"w": torch.tensor([0.0, 2.0])}], method="slerp", base={"w": torch.tensor([2.0, 0.0])}, t=1 / 3)["w"]
    assert found.tolist() == pytest.approx([2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)], abs=1e-6)


def test_slerp_of_nearly_parallel_inputs_is_linear() -> None:
    gram = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert slerp(gram, [], t=0.3).tolist() == pytest.approx([0.7, 0.3])


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
        merged([(1, 0), (-1, 0), (1, 0), (-1, 0)], method="multislerp")
    assert merged([(1, 0), (-1, 0)], method="multislerp") == [0, 0]


def test_model_stock_by_hand() -> None:
    # two deltas of norm 1 at 60 degrees: c = 0.5, t = 2 * 0.5 / 1.5 = 2/3
    deltas = [(1, 0), (0.5, math.sqrt(3) / 2)]
    expected = [2 / 3 * 0.75, 2 / 3 * math.sqrt(3) / 4]
    assert merged(deltas, [0, 0], method="model_stock") == pytest.approx(expected)


def test_model_stock_of_opposing_deltas_stays_at_the_base() -> None:
    assert merged([(1, 0), (-1, 0)], [0, 0], method="model_stock") == [0, 0]


def test_reinforced_agents_by_hand() -> None:
    rows = [(1, 2, 0), (3, 0, 0)]
    assert merged(rows, [0, 0, 0], method="ram") == [2, 2, 0]
    # the first shares 1 change and has 1 of its own: factor 1 + 0.5 * min(1, 0.4); the second has none of its own
    assert merged(rows, [0, 0, 0], method="ramplus_tl", r=0.5, alpha=0.4) == [2, 2.4, 0]


def test_nearswap_steps_at_most_t() -> None:
    assert merged([(0.5, -4, 1)], [0, 0, 1], method="nearswap", t=1) == [0.5, -1, 1]


def test_sce_by_hand() -> None:
    rows = np.array([(2.0, 0, 1, 0), (-1.0, 0, 1, 2)])
    energy = (rows**2).mean(1) / (rows**2).mean(1).sum()
    # variance 2.25, 0, 0, 1: of the two varied places select_topk 0.5 keeps the first
    kept = rows * np.array([1, 0, 0, 0])
    share = (kept**2).mean(1) / (kept**2).mean(1).sum()
    assert merged(rows.tolist(), [0] * 4, method="sce", select_topk=0.5) == [2, 0, 0, 0]
    assert share[0] == 0.8
    assert merged(rows.tolist(), [0] * 4, method="sce") == pytest.approx([2, 0, 1, 2])
    assert energy.sum() == pytest.approx(1)


def test_arcee_fusion_by_a_slow_loop() -> None:
    random = np.random.default_rng(5)
    base = random.standard_normal((6, 7)).astype(np.float32)
    other = (base + random.standard_normal((6, 7)) * 0.3).astype(np.float32)
    importance = np.zeros((6, 7))
    for i in range(6):
        p = np.exp(other[i].astype(float)) / np.exp(other[i].astype(float)).sum() + 1e-8
        q = np.exp(base[i].astype(float)) / np.exp(base[i].astype(float)).sum() + 1e-8
        importance[i] = np.abs(other[i] - base[i]) * (p * np.log(p / q)).sum()
    ordered = np.sort(importance.reshape(-1))
    first, median, third = (ordered[int(q * 41)] for q in (0.25, 0.5, 0.75))
    expected = np.where(importance >= median + 1.5 * (third - first), other, base)
    found = modelweave.merge([{"w": torch.from_numpy(other)}], method="arcee_fusion", base={"w": torch.from_numpy(base)})["w"]
    assert np.abs(found.numpy() - expected).max() < 1e-6


def kept_by(method: str, delta: torch.Tensor, **options: Any) -> torch.Tensor:
    """The change that a method makes of one member's delta over a base of zeros."""
    return modelweave.merge([{"w": delta}], method=method, base={"w": torch.zeros_like(delta)}, **options)["w"]


def test_dare_keeps_the_share_and_the_summed_magnitude() -> None:
    delta = torch.randn(400, 500, generator=torch.Generator().manual_seed(0))
    found = kept_by("dare_linear", delta, density=0.3)
    share = (found != 0).float().mean().item()
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 200_000)
    assert found.abs().sum().item() == pytest.approx(delta.abs().sum().item(), rel=1e-5)
    raw = kept_by("dare_linear", delta, density=0.3, rescale=False)
    assert torch.equal(raw[raw != 0], delta[raw != 0])


def test_dare_averaged_over_seeds_gives_the_delta_back() -> None:
    delta = torch.full((64,), 2.0)
    found = torch.stack([kept_by("dare_linear", delta, density=0.5, rescale=False, seed=s) for s in range(1500)]).mean(0) * 2
    assert (found - delta).abs().max() < 4.5 * 2 / math.sqrt(1500)


def test_members_draw_independently() -> None:
    delta = torch.ones(300, 300)
    found = modelweave.merge(
        [{"w": delta}, {"w": delta}], method="dare_linear", base={"w": delta * 0}, density=0.5, rescale=False, weight=[1, 10]
    )["w"]
    shares = [(found == value).float().mean().item() for value in (0, 1, 10, 11)]
    assert shares == pytest.approx([0.25] * 4, abs=0.01)


def test_tensors_of_different_names_draw_independently() -> None:
    delta = torch.ones(300, 300)
    found = modelweave.merge(
        [{"a": delta, "b": delta.clone()}], method="dare_linear", base={"a": delta * 0, "b": delta * 0}, density=0.5, rescale=False
    )
    assert (found["a"] == found["b"]).float().mean().item() == pytest.approx(0.5, abs=0.01)


def test_della_keeps_large_changes_more_often() -> None:
    row = torch.arange(1, 1001, dtype=torch.float32)
    delta = row.repeat(400, 1)
    kept = (kept_by("della_linear", delta, density=0.5, epsilon=0.3, rescale=False) != 0).float().mean(0)
    expected = 0.2 + 0.6 * torch.arange(1000) / 999
    # averaged over 100 neighbouring ranks, 40,000 draws each
    assert (kept.reshape(10, 100).mean(1) - expected.reshape(10, 100).mean(1)).abs().max() < 0.015


def test_della_gives_equal_magnitudes_equal_chances() -> None:
    delta = torch.tensor([1.0, -1.0, 1.0, 1.0]).repeat(20_000, 1)
    kept = (kept_by("della_linear", delta, density=0.5, epsilon=0.4, rescale=False) != 0).float().mean(0)
    assert kept.tolist() == pytest.approx([0.5] * 4, abs=0.02)


def test_equal_magnitudes_rank_by_place() -> None:
    delta = torch.tensor([1.0, -1.0] * 600_000)  # two units of work, every magnitude equal
    found = kept_by("ties", delta, density=0.7)
    assert torch.equal((found != 0).nonzero().reshape(-1), torch.arange(840_000))
    crumbs = kept_by("breadcrumbs", delta, density=0.3, gamma=0.5)
    assert torch.equal((crumbs != 0).nonzero().reshape(-1), torch.arange(600_000, 960_000))


@pytest.mark.parametrize("seed", range(6))
def test_top_shares_are_exact_on_awkward_values(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(70_000, generator=generator, dtype=torch.float64)
    delta = {
        0: delta,
        1: delta.round(decimals=1),
        2: delta * 10.0 ** torch.randint(-30, 30, (70_000,), generator=generator).double(),
        3: delta.sign(),
        4: torch.where(delta > 1, delta, 0.0),
        5: torch.linspace(1, 1 + 1e-12, 70_000, dtype=torch.float64).float().double() + delta * 0,
    }[seed].float()
    for density in (0.01, 0.2, 0.77):
        found = kept_by("ties", delta, density=density, scale=1.0)
        order = torch.sort(delta.abs(), descending=True, stable=True).indices[: int(density * 70_000)]
        expected = torch.zeros_like(delta)
        expected[order] = delta[order]
        assert torch.equal(found, expected)
