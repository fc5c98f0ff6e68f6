"""The set function by hand and by its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from modelweave.outputs.chooser.subset_network import Recognition, SetFunction, entropy, sample


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def linear() -> SetFunction:
    found = SetFunction(1, 1, 4)
    found.phi, found.rho, found.rho2 = Times(1.0), Times(2.0), Times(-1.0)  # type: ignore[assignment]
    return found


def test_the_linear_case_by_hand() -> None:
    elements = torch.tensor([[[1.0], [2.0], [3.0]]])
    energy = linear()
    assert energy(elements, torch.tensor([[1.0, 0, 1]])).item() == 6
    assert energy(elements, torch.zeros(1, 3)).item() == -6
    for start in (0.1, 0.9):
        q = energy.mean_field(elements, torch.full((1, 3), start), torch.rand(1, 4, 3, 3))
        assert q[0].numpy() == pytest.approx([0.952574, 0.997527, 0.999877], abs=1e-6)


@pytest.mark.parametrize("background", ["none", "complement", "superset", "superset_additive"])
def test_members_may_come_in_any_order(background: str) -> None:
    torch.manual_seed(0)
    energy = SetFunction(4, 8, 16, background)  # type: ignore[arg-type]
    guess = Recognition(4, 8, 16, 3)
    elements, order = torch.randn(2, 6, 4), torch.randperm(6)
    uniforms = torch.rand(2, 5, 6, 6)
    q = energy.mean_field(elements, guess(elements)[0], uniforms)
    moved = elements[:, order]
    turned = energy.mean_field(moved, guess(moved)[0], uniforms[:, :, order][:, :, :, order])
    assert turned.detach().numpy() == pytest.approx(q[:, order].detach().numpy(), abs=1e-6)


def test_without_a_second_network_it_is_equivset_to_the_bit() -> None:
    torch.manual_seed(1)
    whole = SetFunction(4, 8, 16, "complement")
    plain = SetFunction(4, 8, 16, "none")
    plain.load_state_dict(whole.state_dict())
    for parameter in whole.rho2.parameters():
        nn.init.zeros_(parameter)
    elements, masks = torch.randn(3, 5, 4), (torch.rand(3, 7, 5) < 0.5).float()
    assert torch.equal(whole(elements, masks), plain(elements, masks))


def test_a_background_added_outside_cancels() -> None:
    torch.manual_seed(2)
    added = SetFunction(4, 8, 16, "superset_additive")
    plain = SetFunction(4, 8, 16, "none")
    plain.load_state_dict(added.state_dict())
    elements, uniforms, q = torch.randn(3, 5, 4), torch.rand(3, 2, 5, 5), torch.full((3, 5), 0.5)
    assert added.mean_field(elements, q, uniforms).detach().numpy() == pytest.approx(
        plain.mean_field(elements, q, uniforms).detach().numpy(), abs=1e-6
    )
    assert not torch.allclose(added(elements, torch.ones(3, 5)), plain(elements, torch.ones(3, 5)))


def test_the_whole_set_leaves_nothing_behind() -> None:
    torch.manual_seed(3)
    energy = SetFunction(4, 8, 16, "complement")
    elements = torch.randn(1, 5, 4)
    expected = energy.rho(energy.phi(elements).sum(1)) + energy.rho2(torch.zeros(1, 8))
    assert energy(elements, torch.ones(1, 5)).item() == pytest.approx(expected.item(), abs=1e-5)
    one = energy.mean_field(torch.randn(1, 1, 4), torch.full((1, 1), 0.5), torch.rand(1, 3, 1, 1))
    assert one.shape == (1, 1)


def test_draws_are_marks_with_the_chances_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    chances = torch.tensor([[0.1, 0.5, 0.9]])
    for together in (True, False):
        spreads, factors = torch.full((1, 3), 1.0), torch.zeros(1, 3, 2)
        drawn = sample(chances, spreads, factors, 20000, 0.1, generator, together=together)
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert drawn.mean(dim=1)[0].numpy() == pytest.approx([0.1, 0.5, 0.9], abs=0.02)
    common = torch.full((1, 3, 1), 1.0)
    drawn = sample(torch.full((1, 3), 0.5), torch.full((1, 3), 1e-3), common, 4000, 0.1, generator)[0].numpy()
    assert np.corrcoef(drawn.T)[0, 1] > 0.85, "one factor moves all"
    chances.requires_grad_()
    sample(chances, torch.ones(1, 3), torch.zeros(1, 3, 2), 50, 0.5, generator).sum().backward()
    assert chances.grad is not None and (chances.grad > 0).all()


def test_entropy_by_hand() -> None:
    assert entropy(torch.tensor([[0.5, 0.5]])).item() == pytest.approx(2 * np.log(2))
    assert entropy(torch.tensor([[0.0, 1.0]])).item() == pytest.approx(0, abs=1e-6)
