"""The control of PCB: its shares in other places."""

from __future__ import annotations

import pytest
import torch

from modelweave.papers.weights import pcb_22 as paper


def test_shares_in_other_places_are_other_merges_and_equal_shares_the_mean() -> None:
    base = {"all": torch.zeros(4000)}
    members = [{"all": torch.randn(4000, generator=torch.Generator().manual_seed(k))} for k in range(2)]
    moved, gap = paper.without_places(members, base, 1, "paper")
    again, _ = paper.without_places(members, base, 1, "paper")
    assert gap < 1e-12 and torch.equal(moved["all"], again["all"])
    assert (moved["all"] != 0).double().mean() == pytest.approx(1 - 0.8**2, abs=0.03)
