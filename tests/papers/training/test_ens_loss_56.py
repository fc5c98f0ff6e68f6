"""EnsLoss at a tiny size: its rivals by hand, and that its checks can fail."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from modelweave.papers.training import ens_loss_56 as paper
from modelweave.papers.training import margin_losses
from modelweave.training.ens_loss import EnsLoss

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for seed in (0, 1) for row in paper.run(seed, epochs=2, width=16, test_rows=200)]


def gradient(criterion: Any, scores: list[float], targets: list[float]) -> list[float]:
    found = torch.tensor(scores, requires_grad=True)
    criterion(found, torch.tensor(targets)).backward()
    return (found.grad * len(scores)).tolist()


def test_the_fixed_losses_by_hand() -> None:
    scores, targets = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0])
    margins = [0.5, -2.0, -3.0]
    assert float(margin_losses.hinge(scores, targets)) == pytest.approx(sum(max(0, 1 - z) for z in margins) / 3)
    assert float(margin_losses.exponential(scores, targets)) == pytest.approx(sum(2.718281828**-z for z in margins) / 3)
    assert margin_losses.logistic(scores, targets) == functional.binary_cross_entropy_with_logits(scores, targets)


def test_the_variants_by_hand() -> None:
    scores, ones = [-1.0, 0.5, 2.0, 4.0], [1.0] * 4
    straight = gradient(EnsLoss(seed=1), scores, ones)
    assert gradient(margin_losses.Turned(seed=1), scores, ones) == straight[::-1]
    assert gradient(margin_losses.Flipped(seed=1), scores, ones) == [-value for value in straight]
    assert gradient(margin_losses.Constant(), scores, ones) == [-1.0] * 4
    assert gradient(margin_losses.TailOnly(), scores, ones) == [-1, -1, -0.5, -0.25]
    bare = [straight[0], straight[1], straight[2] * 2, straight[3] * 4]
    turned = [bare[3], bare[2], bare[1] / 2, bare[0] / 4]
    assert gradient(margin_losses.TurnedDraws(seed=1), scores, ones) == pytest.approx(turned, abs=1e-5)
    wanted = gradient(margin_losses.logistic, scores, ones)
    assert gradient(margin_losses.Logistic(), scores, ones) == pytest.approx(wanted, rel=1e-5)
    first, second = (gradient(margin_losses.Quantiles(), scores, ones) for _ in range(2))
    assert first == second == sorted(first) and first[0] == first[1] == pytest.approx(-1, abs=1e-5)
    assert first[2] == pytest.approx(-(2.718281828**-0.318639) / 2, abs=1e-5)  # the normal's 3/8 quantile


def test_training_leaves_the_global_generator_alone_and_repeats() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    data = paper.make_data(0, test_rows=50)
    assert paper.fit(data, "EnsLoss", 0, 1, 8) == paper.fit(data, "EnsLoss", 0, 1, 8)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_tiny_run_can_be_judged(rows: list[dict[str, Any]]) -> None:
    checks = {check.name: check for check in paper.EXPERIMENT.judge(rows)}
    by = {row["condition"]: row for row in rows if row["seed"] == 1}
    assert checks["EnsLoss - logistic, test accuracy"].got[1] == by["EnsLoss"]["test"] - by["logistic"]["test"]
    assert by["EnsLoss"]["test"] == pytest.approx((by["EnsLoss"]["test_0"] + by["EnsLoss"]["test_1"]) / 2)
    assert checks["far group: accuracy of EnsLoss"].holds and checks["far group: accuracy with wrong order"].holds
    assert checks["logistic by EnsLoss's path: largest change of a weight"].holds
    assert not checks["all fit the training rows: smallest accuracy"].holds  # two epochs do not


def test_a_path_of_its_own_is_noticed(rows: list[dict[str, Any]]) -> None:
    changed = [{**row, **({"difference": 1e-3} if "difference" in row else {})} for row in rows]
    checks = {check.name: check for check in paper.EXPERIMENT.judge(changed)}
    assert not checks["logistic by EnsLoss's path: largest change of a weight"].holds
