"""DARE: shares, sums and chances; draws that are averaged."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import modelweave

from .helpers import kept_by


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


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_several_draws_are_averaged(method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    base = {"w": torch.randn(300, 40, generator=generator)}
    members = [{"w": base["w"] + torch.randn(300, 40, generator=generator)} for _ in range(2)]

    def merged(**options: Any) -> torch.Tensor:
        return modelweave.merge(members, method=method, base=base, density=0.5, **options)["w"]

    assert torch.equal(merged(), merged(seeds=1))
    full = modelweave.merge(members, method=method, base=base, density=1.0)["w"]
    distance = [float((merged(seeds=n) - full).norm()) for n in (1, 4, 16)]
    assert distance[0] > distance[1] > distance[2]
    if method == "dare_linear":  # the draws' errors are independent, so that their mean shrinks with the root of their number
        assert distance[2] == pytest.approx(distance[0] / 4, rel=0.1)
