"""Continual merging: numbers by hand, the published recursion with full decompositions, and what must hold at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import modelweave
from modelweave.errors import NonFiniteError, ParameterError
from modelweave.weights.combine.opcm import clean, mean_norm, opcm
from modelweave.weights.part import Context

ONES = torch.ones(3, 3, dtype=torch.float64)
STEPS = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))


def merged(deltas: list[Any], **options: Any) -> torch.Tensor:
    """The merged change of one matrix over a base of zeros."""
    members = [{"w": torch.as_tensor(delta, dtype=torch.float64)} for delta in deltas]
    return modelweave.merge(members, method="opcm", base={"w": torch.zeros_like(members[0]["w"])}, **options)["w"]


def test_two_matrices_by_hand() -> None:
    first, second = torch.diag(torch.tensor([3.0, 1.0])).double(), torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()
    assert torch.allclose(clean(second, first, alpha=0.5), torch.tensor([[0.0, 2.0], [3.0, 0.0]]).double())
    found = mean_norm([10**0.5, 30**0.5], 23**0.5, [{}, {}])
    assert found.record["norm"] == pytest.approx(4.319752, abs=1e-6) and found.record["lambda"] == pytest.approx(1.110210, abs=1e-6)
    assert modelweave.merge([{"w": first}, {"w": second}], method="opcm", base={"w": 0 * first})["w"].flatten().tolist() == pytest.approx(
        [2.702191, 1.801461, 2.702191, 0.900730], abs=1e-6
    )


@pytest.mark.parametrize(("alpha", "split"), [(0, 0), (0.4, 0), (0.5, 1), (0.8, 1), (0.9, 2), (0.999, 2)])
def test_how_many_directions_count_as_said(alpha: float, split: int) -> None:
    expected = ONES - torch.eye(3)
    expected[:split, :split] = 0
    assert torch.allclose(clean(ONES, STEPS, alpha=alpha), expected, atol=1e-14)
    strict = torch.zeros(3, 3, dtype=torch.float64)
    strict[split:, split:] = 1
    assert torch.allclose(clean(ONES, STEPS, alpha=alpha, strict=True), strict - torch.diag(strict.diagonal()), atol=1e-14)


def test_the_same_model_again_changes_nothing() -> None:
    delta = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(merged([delta] * 4), delta, atol=1e-12)
    assert torch.allclose(merged([delta] * 4, projection="none"), delta, atol=1e-12)


@pytest.mark.parametrize("alpha", [0, 0.5, 0.9])
def test_what_does_not_overlap_is_added(alpha: float) -> None:
    arrivals = []
    for t, place in enumerate([(0, 1), (1, 2), (2, 3)], 1):
        delta = torch.zeros(4, 4)
        delta[place] = 1
        arrivals.append(delta)
        assert torch.allclose(merged(arrivals, alpha=alpha), sum(arrivals).double() / t**0.5, atol=1e-7)


def published(deltas: list[np.ndarray], alpha: float, projection: str) -> tuple[np.ndarray, list[float]]:
    """The recursion as published, with square U and V and a division by lambda at every step, for matrices of full rank."""
    change, factor, factors = deltas[0], 1.0, [1.0]
    for t in range(1, len(deltas)):
        u, s, vh = np.linalg.svd(change)
        p = u.T @ deltas[t] @ vh.T
        split = int(np.argmax(s.cumsum() / s.sum() > alpha))
        if projection != "none":
            p[range(len(s)), range(len(s))] = 0
            p[:split, :split] = 0
        if projection == "strict":
            p[:split] = 0
            p[:, :split] = 0
        change = factor * change + u @ p @ vh
        mean = np.mean([np.linalg.norm(d) for d in deltas[: t + 1]])
        factor = np.linalg.norm(change) / mean
        factors.append(factor)
        change = change / factor
    return change, factors


@pytest.mark.parametrize("projection", ["reference", "strict", "none"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)], ids=str)
@pytest.mark.parametrize("alpha", [0, 0.3, 0.5, 0.9])
def test_the_recursion_as_published(projection: str, shape: tuple[int, int], alpha: float) -> None:
    random = np.random.default_rng(7)
    deltas = [random.standard_normal(shape) * size for size in (1.0, 0.3, 2.0, 0.7)]
    expected, factors = published(deltas, alpha, projection)
    assert np.allclose(merged(deltas, alpha=alpha, projection=projection), expected, atol=1e-12)
    stream = modelweave.Continual({"w": np.zeros(shape)}, alpha=alpha, projection=projection)
    for t, delta in enumerate(deltas):
        stream.add({"w": delta})
        assert stream.record["lambda"] == pytest.approx(factors[t], rel=1e-12)
    assert np.allclose(stream.merged["w"], expected, atol=1e-12)


def test_what_is_removed_is_gone() -> None:
    generator = torch.Generator().manual_seed(1)
    total, delta = torch.randn(2, 9, 6, generator=generator, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(total, full_matrices=False)
    split = int((s.cumsum(0) <= 0.7 * s.sum()).sum())
    left = u.T @ clean(delta, total, alpha=0.7) @ vh.T
    assert left.diagonal().abs().max() < 1e-13 and left[:split, :split].abs().max() < 1e-13
    assert split > 1 and left[split:, :split].abs().max() > 0.1


def model(generator: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    shapes = {"embed_tokens.weight": (12, 6), "layers.0.weight": (6, 6), "layers.0.bias": (6,), "layers.1.weight": (8, 6), "k": (2, 3, 4)}
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return float(sum((a[n].double() - b[n].double()).square().sum() for n in a) ** 0.5)


def test_over_several_tensors_the_norm_is_the_mean_of_the_tasks_at_every_step() -> None:
    generator = torch.Generator().manual_seed(2)
    base, tasks = model(generator), [model(generator) for _ in range(5)]
    stream = modelweave.Continual(base)
    for t, task in enumerate(tasks, 1):
        stream.add(task)
        mean = sum(distance(base, seen) for seen in tasks[:t]) / t
        assert distance(base, stream.merged) == pytest.approx(mean, rel=1e-6)
        assert stream.record["count"] == t and stream.record["norm"] == pytest.approx(mean, rel=1e-6)
    at_once = modelweave.merge(tasks, method="opcm", base=base)
    assert all(torch.allclose(at_once[n], stream.merged[n], atol=2e-6) for n in base)
    total = {n: sum(task[n] - base[n] for task in tasks) for n in base}
    factor = 1 / stream.record["lambda"]
    for name in ("embed_tokens.weight", "layers.0.bias", "k"):  # no linear layers: added as they are
        assert torch.allclose(at_once[name] - base[name], factor * total[name], atol=1e-5)
    assert not torch.allclose(at_once["layers.0.weight"] - base["layers.0.weight"], factor * total["layers.0.weight"], atol=1e-2)


def test_scaling_all_changes_scales_the_result() -> None:
    random = np.random.default_rng(3)
    deltas = [random.standard_normal((6, 4)) for _ in range(3)]
    assert np.allclose(merged([0.01 * d for d in deltas]), 0.01 * merged(deltas).numpy(), atol=1e-14)


def test_a_filter_turns_the_projection_off_for_some_tensors() -> None:
    generator = torch.Generator().manual_seed(4)
    base, tasks = model(generator), [model(generator) for _ in range(3)]
    plain = modelweave.merge(tasks, method="opcm", base=base, projection=[{"filter": "layers.1", "value": "none"}, {"value": "reference"}])
    step, total = (
        plain["layers.1.weight"] - base["layers.1.weight"],
        sum(task["layers.1.weight"] - base["layers.1.weight"] for task in tasks),
    )
    assert torch.allclose(step / step.norm(), total / total.norm(), atol=1e-5)


def test_directions_below_the_numerical_rank_remove_nothing() -> None:
    first = torch.zeros(6, 5, dtype=torch.float64)
    first[0, 0] = 2
    second = torch.randn(6, 5, generator=torch.Generator().manual_seed(5)).double()
    expected = second.clone()
    expected[0, 0] = 0
    assert torch.allclose(clean(second, first, alpha=0.5), expected, atol=1e-14)
    turned = torch.linalg.qr(
        torch.randn(5, 5, generator=torch.Generator().manual_seed(6)).double()
    ).Q  # the null space's basis does not matter
    assert torch.allclose(clean(second @ turned, first @ turned, alpha=0.5), expected @ turned, atol=1e-13)


def test_rounded_weights_have_no_directions_in_their_noise() -> None:
    """A low-rank change read off float32 weights has singular values of rounding, which must not count."""
    generator = torch.Generator().manual_seed(8)
    base = torch.randn(40, 30, generator=generator)
    low = 0.01 * torch.randn(40, 2, generator=generator) @ torch.randn(2, 30, generator=generator)
    second = 0.1 * torch.randn(40, 30, generator=generator)
    deltas = torch.stack([(base + low) - base, second])
    expected = low.double() + clean(second.double(), low.double(), alpha=0.5, noise=1e-6)
    found = opcm(deltas, Context("w", (40, 30), base=base), alpha=0.5, projection="reference")
    assert (found.double() - expected).abs().max() < 1e-6


@pytest.mark.parametrize("projection", ["reference", "strict", "none"])
def test_no_change_and_empty_matrices(projection: str) -> None:
    zero, delta = torch.zeros(3, 4), torch.randn(3, 4, generator=torch.Generator().manual_seed(9))
    assert torch.equal(merged([zero, zero], projection=projection), zero.double())
    for pair in ([zero, delta], [delta, zero]):
        assert torch.allclose(merged(pair, projection=projection), delta.double() / 2, atol=1e-12)
    assert merged([torch.zeros(0, 4)] * 2, projection=projection).shape == (0, 4)


def test_changes_that_cancel_leave_the_base() -> None:
    delta = torch.randn(3, 4, generator=torch.Generator().manual_seed(10))
    assert torch.equal(merged([delta, -delta], projection="none"), torch.zeros(3, 4).double())


def test_alpha_one_is_refused_because_nothing_exceeds_it() -> None:
    with pytest.raises(ParameterError, match="alpha must be below 1"):
        merged([STEPS, ONES], alpha=1)


def test_a_norm_over_the_model_cannot_hold_nan() -> None:
    bad = {"w": torch.full((2, 2), torch.nan)}
    for allowed in (False, True):
        with pytest.raises(NonFiniteError, match="^w"):
            modelweave.merge([bad, bad], method="opcm", base={"w": torch.zeros(2, 2)}, allow_nonfinite=allowed)


def test_scale_is_applied_after_the_norm_is_set() -> None:
    assert torch.allclose(merged([STEPS, ONES], scale=0.5), 0.5 * merged([STEPS, ONES]), atol=1e-14)
    found = modelweave.prepare([{"w": STEPS}, {"w": ONES}], method="opcm", base={"w": 0 * ONES})
    assert torch.allclose(found.at(0.5)["w"], 0.5 * merged([STEPS, ONES]), atol=1e-14)
