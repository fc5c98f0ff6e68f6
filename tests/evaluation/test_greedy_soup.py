"""Greedy soups against cases worked by hand."""

from __future__ import annotations

import pytest
import torch

from modelweave import greedy_soup


def runs(*values: float) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.tensor(float(v)), "steps": torch.tensor(7)} for v in values]


def test_a_member_that_lowers_the_score_is_left_out() -> None:
    soup = greedy_soup(runs(3, 1, 8), lambda s: -abs(float(s["w"]) - 2.2))
    assert soup.ingredients == (0, 1) and float(soup.weights["w"]) == 2 and int(soup.weights["steps"]) == 7
    assert [(t.member, round(t.score, 6), t.accepted) for t in soup.log] == [(0, -0.8, True), (1, -0.2, True), (2, -1.8, False)]


def test_nothing_helps_a_member_that_is_best_alone() -> None:
    soup = greedy_soup(runs(3, 1, 8), lambda s: -abs(float(s["w"]) - 3.5))
    assert soup.ingredients == (0,) and float(soup.weights["w"]) == 3


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
    assert torch.allclose(soup.weights["w"], mean, atol=1e-6)


def test_no_models_is_an_error() -> None:
    with pytest.raises(ValueError, match="no models"):
        greedy_soup([], lambda s: 0.0)
