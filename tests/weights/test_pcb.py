"""PCB-Merging against numbers by hand and the formulas in slow float64 steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import modelweave
from modelweave.errors import ParameterError
from modelweave.weights.combine.pcb import pcb as pcb_part
from modelweave.weights.combine.pcb import shares
from modelweave.weights.formula import whole
from modelweave.weights.part import Context

from .helpers import Array, cubes, merged_arrays


def test_pcb_over_the_whole_model_is_pcb_of_the_flat_vector() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 60))

    def merged(cuts: tuple[int, ...], **options: Any) -> list[float]:
        def stored(row: Any) -> dict[str, torch.Tensor]:
            return {f"layer.{i}": torch.tensor(part) for i, part in enumerate(np.split(row, cuts))}

        found = modelweave.merge([stored(row) for row in rows], method="pcb", base=stored(0 * rows[0]), **options)
        return torch.cat(list(found.values())).tolist()

    for preset in ("paper", "language", "vision"):
        assert merged((7, 31), preset=preset) == merged((), preset=preset)
    assert merged((7, 31), preset="paper") != merged((7, 31), variant="paper")


TAU = ((1, -0.5, 0.2, 0), (0.8, 0.6, -0.1, 0.3))


VARIANTS = ("paper", "main", "vision", "es")


def unit(x: Array) -> Array:
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    return np.where(high > low, (x - low) / np.where(high > low, high - low, 1), 0)


def softmax(x: Array) -> Array:
    return np.asarray(np.exp(x) / np.exp(x).sum())


def between(x: Array, low: int, high: int) -> Array:
    ordered = np.sort(x)
    return np.minimum(np.maximum(x, ordered[low]), ordered[high])


def above(scores: Array, ranks: list[int]) -> NDArray[np.bool_]:
    """Where a row's scores are above the one of that rank, as float32."""
    rounded = scores.astype(np.float32)
    return np.stack([row > np.sort(row)[rank] for row, rank in zip(rounded, ranks, strict=True)])


def pcb(tau: Array, r: float, variant: str, clip: float | None = None, weight: Any = None) -> tuple[Array, Array, Array]:
    """(direction, scores, values merged): the formulas as they stand, one member after another."""
    n, d = tau.shape
    weights = np.ones(n) if weight is None else np.asarray(weight)
    if variant == "paper":
        scores = np.stack([softmax(n * unit(t * t)) * sum(softmax(unit(t * other)) for other in tau) for t in tau])
        kept = np.where(above(-scores, [max(1, round(r * d)) - 1] * n), 0, scores)
        values = tau
    else:
        q = {"main": 1e-4}.get(variant, 1e-2) if clip is None else clip
        sizes = np.stack([between(abs(t), int(d * q), int(d * (1 - q) - 1)) for t in tau])
        signed = np.sign(tau) * unit(sizes)
        inter = {
            "main": np.tanh(tau * tau.sum(0)),
            "vision": np.tanh(tau * signed.sum(0)),
            "es": np.stack([np.tanh(s * signed).sum(0) for s in signed]),
        }[variant]
        scores = np.exp(n * unit(sizes) ** 2) * inter
        beyond = np.stack([unit(between(s, int(d * (1 - r)), d - 1)) for s in scores])
        kept = np.where(above(scores, [int(d * (1 - r))] * n), beyond, 0)
        values = np.sign(tau) * sizes
    total = kept.sum(0)
    return (kept * values * weights[:, None]).sum(0) / np.where(total > 0, total, 1), scores, values


@pytest.mark.parametrize(
    ("variant", "density", "expected"),
    [
        ("main", 0.25, (0, 0, 0, 0)),  # nothing lies beyond the quantile: the authors' code gives NaN
        ("main", 0.5, (0.55, 0, 0, 0)),
        ("main", 0.75, (0.55, 0.6, 0.2, 0)),
        ("main", 1.0, (0.55, 0.6, 0.2, 0.086183)),
        ("paper", 0.5, (0.908870, 0.212171, 0, 0)),
        ("paper", 1.0, (0.908870, 0.212171, 0.070159, 0.160303)),
    ],
)
def test_pcb_by_hand(variant: str, density: float, expected: tuple[float, ...]) -> None:
    assert merged_arrays(TAU, method="pcb", variant=variant, density=density) == pytest.approx(expected, abs=1e-6)


def shares_of(tau: torch.Tensor, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    context = Context("", tuple(tau.shape[1:]), ({"density": 1.0, "weight": 1.0},) * len(tau))
    kept, values = shares(tau, whole(pcb_part, tau, context, **options), variant=options["variant"])
    return torch.stack(kept), torch.stack(values)


def test_the_scores_of_the_paper_s_form_by_hand() -> None:
    tau = torch.tensor(TAU, dtype=torch.float64)
    kept, values = shares_of(tau, variant="paper")
    expected = ((0.584561, 0.054952, 0.036652, 0.033563), (0.489314, 0.100908, 0.027968, 0.038514))
    assert kept.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert torch.equal(values, tau)


def test_the_scores_of_the_released_form_by_hand() -> None:
    expected = ((6.996003, -0.082367, 0.021663, 0), (6.603583, 0.166260, -0.010000, 0.105676))
    assert pcb(np.array(TAU), 1.0, "main", clip=0)[1] == pytest.approx(np.array(expected), abs=1e-6)
    tau = torch.tensor(TAU, dtype=torch.float64)
    kept, _ = shares_of(tau, variant="main", clip=0)
    assert kept.numpy() == pytest.approx(unit(np.array(expected)), abs=1e-6)
    _, values = shares_of(tau, variant="main")
    assert values.numpy() == pytest.approx(np.array(((0.5, -0.5, 0.2, 0), (0.6, 0.6, -0.1, 0.3))))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_pcb_is_the_slow_reference(variant: str, density: float) -> None:
    tau = cubes(3, 2000)
    weight = [1.2, 0.8, 1.0]
    expected, _, _ = pcb(tau, density, variant, weight=weight)
    found = merged_arrays(tau, method="pcb", variant=variant, density=density, weight=weight)
    assert found == pytest.approx(expected, rel=2e-6, abs=2e-6)
    assert np.count_nonzero(found) == np.count_nonzero(expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pcb_over_many_chunks_is_the_slow_reference(variant: str) -> None:
    tau = cubes(2, 1100, 1000).astype(np.float32)
    members, base = [{"w": torch.from_numpy(t)} for t in tau], {"w": torch.zeros(1100, 1000)}
    found = modelweave.merge(members, method="pcb", base=base, variant=variant, memory="1MiB", threads=2)["w"].numpy()
    expected, _, _ = pcb(tau.reshape(2, -1).astype(np.float64), 0.1, variant)
    assert np.allclose(found.reshape(-1), expected, rtol=1e-5, atol=1e-5)


def test_a_clip_that_is_given_goes_before_the_variant_s() -> None:
    tau = cubes(2, 300)
    found = merged_arrays(tau, method="pcb", variant="es", density=0.4, clip=0.2)
    assert found == pytest.approx(pcb(tau, 0.4, "es", clip=0.2)[0], abs=1e-6)
    with pytest.raises(ParameterError, match="variant paper clips nothing"):
        merged_arrays(tau, method="pcb", variant="paper", clip=0.2)
    with pytest.raises(ParameterError, match="variant must be one of paper, main, vision, es"):
        merged_arrays(tau, method="pcb", variant="author")


def test_each_member_may_have_its_own_density() -> None:
    tau = cubes(2, 500)
    members = [{"w": torch.tensor(t)} for t in tau]
    found = modelweave.merge(members, method="pcb", base={"w": torch.zeros(500).double()}, variant="paper", density=[0.1, 0.4])["w"]
    _, scores, _ = pcb(tau, 1.0, "paper")
    kept = np.stack([np.where(s >= np.sort(s)[-k], s, 0) for s, k in zip(scores, (50, 200), strict=True)])
    assert found.numpy() == pytest.approx((kept * tau).sum(0) / np.where(kept.any(0), kept.sum(0), 1), abs=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_pcb_stays_between_the_changes_and_is_linear_in_the_scale(variant: str) -> None:
    tau = cubes(4, 400)
    one = merged_arrays(tau, method="pcb", variant=variant, density=0.6)
    values = np.concatenate([pcb(tau, 0.6, variant)[2], np.zeros((1, 400))])
    assert np.all(one <= values.max(0) + 1e-6) and np.all(one >= values.min(0) - 1e-6)
    assert merged_arrays(tau, method="pcb", variant=variant, density=0.6, scale=1.7) == pytest.approx(1.7 * one)
    assert merged_arrays(tau[::-1], method="pcb", variant=variant, density=0.6) == pytest.approx(one)


def test_the_paper_s_form_keeps_identical_members() -> None:
    tau = cubes(1, 64)[0]
    assert merged_arrays([tau] * 3, method="pcb", variant="paper", density=1.0) == pytest.approx(tau)


def test_the_released_form_leaves_out_opposites_and_dissenters() -> None:
    tau = cubes(3, 100)
    tau[:, 7] = (2.0, -2.0, 0.0)
    tau[:, 8] = (3.0, 3.0, -1.0)
    _, scores, values = pcb(tau, 0.2, "main")
    assert scores[0, 7] == scores[1, 7] == 0 and scores[2, 8] < 0
    found = merged_arrays(tau, method="pcb", density=0.2)
    assert found[7] == 0
    assert min(values[:2, 8]) - 1e-6 <= found[8] <= max(values[:2, 8]) + 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "rows", [((0.0,) * 5, (1.0, 2, 3, -4, 0)), ((2.0,) * 5, (2.0,) * 5), ((0.0,), (3.0,)), ((1e-30, 2e-30), (0, 1e-30))]
)
@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_pcb_of_odd_changes_is_what_the_slow_steps_give(variant: str, rows: Any, density: float) -> None:
    found = merged_arrays(rows, method="pcb", variant=variant, density=density)
    np.testing.assert_allclose(found, pcb(np.array(rows, np.float64), density, variant)[0], atol=1e-6)
