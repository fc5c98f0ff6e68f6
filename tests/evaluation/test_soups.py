"""Greedy soups against cases worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelweave import greedy_soup
from modelweave.errors import ModelweaveError, ParameterError

from ..tied import Tied


def runs(*values: float) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.tensor(float(v)), "steps": torch.tensor(7)} for v in values]


def test_a_member_that_lowers_the_score_is_left_out() -> None:
    soup = greedy_soup(runs(3, 1, 8), lambda s: -abs(float(s["w"]) - 2.2))
    assert soup.ingredients == (0, 1) and float(soup.state["w"]) == 2 and int(soup.state["steps"]) == 7
    assert [(t.member, round(t.score, 6), t.accepted) for t in soup.log] == [(0, -0.8, True), (1, -0.2, True), (2, -1.8, False)]


def test_nothing_helps_a_member_that_is_best_alone() -> None:
    soup = greedy_soup(runs(3, 1, 8), lambda s: -abs(float(s["w"]) - 3.5))
    assert soup.ingredients == (0,) and float(soup.state["w"]) == 3


def test_equals_are_taken_unless_strict() -> None:
    assert greedy_soup(runs(3, 3, 3), lambda s: float(s["w"])).ingredients == (0, 1, 2)
    assert greedy_soup(runs(3, 3, 3), lambda s: float(s["w"]), strict=True).ingredients == (0,)


def test_the_score_never_falls_below_the_best_member() -> None:
    generator = torch.Generator().manual_seed(0)
    models = [{"w": torch.randn(6, generator=generator)} for _ in range(8)]
    target = torch.ones(6)

    def score(state: dict[str, torch.Tensor]) -> float:
        return -float((state["w"] - target).norm())

    soup = greedy_soup(models, score)
    assert soup.score >= max(score(m) for m in models)
    mean = torch.stack([models[i]["w"] for i in soup.ingredients]).double().mean(0).float()
    assert torch.allclose(soup.state["w"], mean, atol=1e-6)


@pytest.mark.parametrize(
    ("models", "score", "part"),
    [
        ([], 0.0, "no models"),
        (runs(1)[0], 0.0, "expected a list of models or a dict from name to model, got one model"),
        (torch.nn.Linear(1, 1), 0.0, "got one model"),
        ("ab", 0.0, "got 'ab'"),
        (None, 0.0, "got None"),
        (runs(1), float("nan"), "score of models.0. is nan"),
        (runs(1), None, "score of models.0. is None"),
        (runs(1), "0.5", "score of models.0. is '0.5'"),
        (runs(1), torch.ones(2), "expected a finite number"),
        ([*runs(1), {"w": torch.ones(())}], 0.0, r"'models\[1\]' lacks steps, 'models\[0\]' has it"),
        ([{"w": torch.ones(2)}, {"w": torch.ones(1)}], 0.0, r"w of 'models\[1\]' has the shape \(1,\), 'models\[0\]' has \(2,\)"),
    ],
)
def test_what_cannot_be_a_soup(models: Any, score: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part) as raised:
        greedy_soup(models, lambda s: score)
    assert isinstance(raised.value, ModelweaveError)


def test_a_score_that_loads_states_into_a_member_is_refused() -> None:
    members = [torch.nn.Linear(2, 1) for _ in range(2)]

    def score(state: Any) -> float:
        members[0].load_state_dict(state)
        return -float(members[0].weight.detach().norm())

    with pytest.raises(ParameterError, match=r"the score changes models\[0\]; let it load states into a module of its own"):
        greedy_soup(members, score)


def test_members_come_in_every_form_and_are_left_alone(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.tensor([3.0])}, "epoch": 3}, tmp_path / "a.pt")
    members: list[Any] = [tmp_path / "a.pt", {"w": np.array([1.0], np.float32)}, {"w": torch.tensor([8.0]), "note": "x"}]
    soup = greedy_soup(members, lambda s: -abs(float(s["w"]) - 2.2))
    assert soup.ingredients == (0, 1) and soup.state["w"].tolist() == [2]
    one = {"w": torch.ones(2, dtype=torch.float64), "n": torch.tensor(3)}
    soup = greedy_soup([one], lambda s: float(s["w"].mul_(2).sum()))
    soup.state["w"].add_(1), soup.state["n"].add_(1)
    assert one["w"].tolist() == [1, 1] and int(one["n"]) == 3


def test_tied_weights_have_all_their_names() -> None:
    modules = [Tied(seed) for seed in range(3)]
    for models in (modules, [modules[0].state_dict(), *modules[1:]], [*modules[:2], modules[2].state_dict()]):
        state = greedy_soup(models, lambda s: 0.0 * float(s["head.weight"].sum())).state
        Tied(9).load_state_dict(state)
        mean = torch.stack([module.embed.weight.detach() for module in modules]).double().mean(0).float()
        assert torch.allclose(state["head.weight"], mean) and torch.equal(state["head.weight"], state["embed.weight"])


def test_models_may_be_modules_paths_and_named(tmp_path: Path) -> None:
    modules = [torch.nn.Linear(2, 1) for _ in range(3)]
    target = torch.nn.Linear(2, 1).weight.detach()

    def score(state: Any) -> float:
        return -float((state["weight"] - target).norm())

    states = greedy_soup([module.state_dict() for module in modules], score)
    for i, module in enumerate(modules):
        save_file(module.state_dict(), tmp_path / f"{i}.safetensors")
    for models in (modules, [tmp_path / f"{i}.safetensors" for i in range(3)], {str(i): m for i, m in enumerate(modules)}):
        soup = greedy_soup(models, score)
        assert soup.ingredients == states.ingredients
        assert all(torch.equal(soup.state[name], value) for name, value in states.state.items())
    torch.nn.Linear(2, 1).load_state_dict(states.state)
