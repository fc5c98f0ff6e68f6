"""Arithmetic by hand, and BatchNorm's statistics against sums of one's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modelweave.errors import CompatibilityError
from modelweave.networks import Batches, average, copied, difference, flat, reestimate_batchnorm, shifted, unflat

A = {"w": torch.tensor([[1.0, 2.0]]), "n": torch.tensor(3)}
B = {"w": torch.tensor([[3.0, 8.0]]), "n": torch.tensor(5)}


def test_by_hand():
    assert average([A, B])["w"].tolist() == [[2.0, 5.0]] and average([A, B])["n"] == 3
    assert average([A, B], [1, 3])["w"].tolist() == [[2.5, 6.5]]
    assert difference(B, A)["w"].tolist() == [[2.0, 6.0]] and difference(B, A).keys() == {"w"}
    assert shifted(A, difference(B, A), 0.5)["w"].tolist() == [[2.0, 5.0]] and shifted(A, difference(B, A))["n"] == 3
    assert flat(A).tolist() == [1.0, 2.0, 3.0]
    assert unflat(flat(A), A)["w"].tolist() == [[1.0, 2.0]]


def test_an_average_is_taken_in_float64():
    big, small = torch.tensor([2.0**24]), torch.tensor([1.0])
    assert average([{"w": v} for v in (big, small, small, -big)])["w"].item() == 0.5
    half = torch.tensor([1.0, 1.0078125], dtype=torch.bfloat16)
    assert average([{"w": half[:1]}, {"w": half[1:]}])["w"].dtype == torch.bfloat16


def test_a_copy_stays_while_the_network_learns():
    net = nn.Linear(1, 1)
    kept = copied(net)
    before = net.weight.item()
    with torch.no_grad():
        net.weight.add_(1)
    assert kept["weight"].item() == before and not kept["weight"].requires_grad


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([A, {"w": A["w"]}], "state 1 lacks 'n', which state 0 has"),
        ([{"w": A["w"]}, A], "state 0 lacks 'n', which state 1 has"),
        ([A, {**A, "w": torch.ones(2)}], r"state 1: 'w' has the shape \(2,\), expected \(1, 2\) as in state 0"),
        ([], "expected one at least"),
    ],
)
def test_states_of_other_networks_are_refused(states, words):
    with pytest.raises(CompatibilityError, match=words):
        average(states)


def test_wrong_weights_changes_and_vectors_are_refused():
    with pytest.raises(CompatibilityError, match="expected 2 weights"):
        average([A, B], [1, -1])
    with pytest.raises(CompatibilityError, match="'q', which the base lacks"):
        shifted(A, {"q": A["w"]})
    with pytest.raises(CompatibilityError, match=r"expected \(3,\)"):
        unflat(torch.ones(2), A)


def test_batchnorm_measured_anew():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False))
    x = torch.randn(30, 3)
    for _ in range(2):
        reestimate_batchnorm(net, Batches(x, size=10))
    hidden = net[1](x).detach().split(10)
    assert torch.allclose(net[2].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0), atol=1e-6)
    assert torch.allclose(net[2].running_var, torch.stack([h.var(0) for h in hidden]).mean(0), atol=1e-6)
    assert net[2].momentum == 0.1 and all(module.training for module in net.modules())
