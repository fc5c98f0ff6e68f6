"""Outputs against direct calls; modes and gradients afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from modelweave.errors import CompatibilityError
from modelweave.networks import Batches, evaluating, forward, stream

X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    net[1].eval()
    return net


def test_a_direct_call_in_evaluation_mode():
    net = network()
    modes = [module.training for module in net.modules()]
    found = forward(net, Batches(X, size=7, shuffle=True, drop_last=True))
    assert [module.training for module in net.modules()] == modes
    with evaluating(net):
        assert torch.allclose(found, net(X), atol=1e-7)
    assert not found.requires_grad and net(X).requires_grad
    assert [len(part) for part in stream(net, Batches(X, size=20))] == [20, 20, 10]


def test_structures_and_what_is_kept():
    @dataclass
    class Output:
        logits: torch.Tensor

    class Model(nn.Module):
        def forward(self, x, scale):
            return {"sum": x.sum(1) * scale, "parts": (x, scale)}

    batches = Batches({"x": X, "scale": torch.arange(50)}, size=8)
    found = forward(Model(), batches)
    assert torch.equal(found["parts"][0], X) and torch.equal(found["parts"][1], torch.arange(50))
    assert torch.equal(forward(Model(), batches, keep="sum"), found["sum"])
    assert torch.equal(forward(Model(), batches, keep=lambda out: out["sum"].max()), torch.stack([p.max() for p in found["sum"].split(8)]))
    answer = forward(nn.Identity(), X, call=lambda net, x: Output(net(x)), keep="logits")
    assert torch.equal(answer, X)
    with pytest.raises(CompatibilityError, match="has no 'logit', it is sum, parts"):
        forward(Model(), batches, keep="logit")


def test_modes_come_back_after_an_error():
    net = network()
    modes = [module.training for module in net.modules()]
    with pytest.raises(RuntimeError):
        forward(net, X[:, :2])
    assert [module.training for module in net.modules()] == modes
    for _ in stream(net, Batches(X, size=20)):
        assert [module.training for module in net.modules()] == modes
        assert torch.is_grad_enabled()
