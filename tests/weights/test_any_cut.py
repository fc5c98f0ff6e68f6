"""Sums over a whole tensor come out the same however much is read at once and by how many threads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import modelweave
from modelweave.weights.exact_sum import limbs, value_of

CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "sums of the entries that stay, by rows": ("breadcrumbs", (400, 700), {"unit": "row", "density": 0.5, "gamma": 0.1, "rescale": True}),
    "denominators of softmaxes": ("pcb", (280_000,), {"variant": "paper"}),
    "counts": ("arcee_fusion", (400, 700), {}),
}


def members(shape: tuple[int, ...], count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [{"w": torch.randn(shape, dtype=torch.float64, generator=generator)} for _ in range(count)]


@pytest.mark.parametrize("case", CASES)
def test_the_bits_do_not_hang_on_memory_and_threads(case: str) -> None:
    method, shape, options = CASES[case]
    base, *models = members(shape, 2 if method == "arcee_fusion" else 4)
    found = [
        modelweave.merge(models, method=method, base=base, memory=memory, threads=threads, **options)["w"]
        for memory, threads in (("1GiB", 1), ("1MiB", 2), ("600KiB", 1))
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not torch.equal(found[0], base["w"])


def test_factors_of_members_do_not_hang_on_the_order_of_work() -> None:
    base, *models = [{f"w{i}": value[i : i + 20_000] for i in range(30)} for value in (m["w"] for m in members((20_100,), 4))]
    factors = [
        modelweave.member_masks(models, base=base, memory=memory, threads=threads).rescalers
        for memory, threads in (("1GiB", 1), ("1GiB", 2), ("1GiB", 2), ("700KiB", 1))
    ]
    assert factors[0] and all(one == factors[0] for one in factors[1:])


def test_limbs_are_exact_in_any_order() -> None:
    values = torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 50
    parts = torch.stack(limbs(values))
    cuts = [parts[:, at : at + step].sum(1) for at, step in ((0, 3000), (3000, 1), (3001, 6999))]
    assert torch.equal(parts.sum(1), sum(cuts))
    assert value_of(parts.sum(1).numpy()) == pytest.approx(values.sum().item(), rel=1e-11)


def test_a_tensor_that_nobody_changed_stays_under_multislerp() -> None:
    same = {"w": torch.arange(1.0, 5.0)}
    found = modelweave.merge([dict(same) for _ in range(3)], method="multislerp", base=same)
    assert found["w"].tolist() == [1, 2, 3, 4]
