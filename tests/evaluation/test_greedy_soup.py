"""Greedy soups against cases worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modelweave import greedy_soup
from modelweave.errors import ParameterError


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


@pytest.mark.parametrize(("models", "score", "part"), [([], 0.0, "no models"), (runs(1), float("nan"), "score of models.0. is nan")])
def test_what_cannot_be_a_soup(models: list[Any], score: float, part: str) -> None:
    with pytest.raises(ParameterError, match=part):
        greedy_soup(models, lambda s: score)


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
