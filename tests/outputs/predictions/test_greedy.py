"""Greedy selection: numbers by hand, slow references of both peers, and AutoGluon's own output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelweave import blend
from modelweave.outputs.predictions import log_sums
from modelweave.outputs.predictions.intake import make_pool
from modelweave.outputs.predictions.learners.greedy import greedy
from modelweave.outputs.predictions.metrics import METRICS

from .slow import make_members, make_numbers, slow_auto_sklearn, slow_autogluon

NUMBERS = json.loads((Path(__file__).parent / "autogluon_numbers.json").read_text())
HAND = {"p1": [0.9, 0.6, 0.4, 0.3], "p2": [0.6, 0.9, 0.2, 0.55], "p3": [0.5] * 4}


def test_four_rows_by_hand() -> None:
    found = blend({name: np.array(p) for name, p in HAND.items()}, [1, 1, 0, 0], rounds=4)
    assert found.weights == {"p1": 0.75, "p2": 0.25, "p3": 0.0}
    assert [step.member for step in found.trajectory] == ["p1", "p1", "p2", "p1"]
    assert [step.score for step in found.trajectory] == pytest.approx([0.37092, 0.37092, 0.36718, 0.36660], abs=5e-6)
    assert found.predict({name: np.array(p) for name, p in HAND.items()}) == pytest.approx([0.825, 0.675, 0.35, 0.3625])
    assert "not judged" in found.verdict.sentence and "4 rows" in found.verdict.sentence


@pytest.mark.parametrize("name", ["log_loss", "brier", "accuracy", "roc_auc"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_classes_as_the_slow_reference(name: str, classes: int, seed: int) -> None:
    members, y = make_members(seed, 120, classes, (1.0, 1.2, 1.5, 3.0))
    pool, codes, _ = make_pool(members, y)
    metric = METRICS[name]
    weights, losses, taken = slow_autogluon(pool.values, lambda p: metric.loss(codes, p), 12)
    found = greedy(pool, codes, metric, rounds=12)
    assert list(found.rule.weights) == pytest.approx(weights)
    assert [pool.names.index(step.member) for step in found.trajectory] == taken
    assert [step.score for step in found.trajectory] == pytest.approx([metric.of_loss(loss) for loss in losses], abs=1e-9)


@pytest.mark.parametrize("name", ["rmse", "mse", "mae", "r2"])
def test_numbers_as_the_slow_reference(name: str) -> None:
    members, y = make_numbers(3, noise=(1.0, 1.1, 1.5, 2.5))
    pool, targets, _ = make_pool(members, y)
    weights, losses, _ = slow_autogluon(pool.values, lambda p: METRICS[name].loss(targets, p), 15)
    found = greedy(pool, targets, METRICS[name], rounds=15)
    assert list(found.rule.weights) == pytest.approx(weights)
    assert METRICS[name].of_loss(losses[-1]) == pytest.approx(found.trajectory[-1].score, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_last_round_as_auto_sklearn_keeps_it(seed: int) -> None:
    members, y = make_members(seed, 150, 3, (1.0, 1.1, 1.3))
    expected = slow_auto_sklearn(list(members.values()), lambda p: METRICS["log_loss"].loss(y, p), 50)
    assert list(blend(members, y, preset="auto_sklearn").weights.values()) == pytest.approx(expected)


@pytest.mark.parametrize("case", NUMBERS, ids=[case["name"] for case in NUMBERS])
def test_autogluons_own_numbers(case: dict[str, Any]) -> None:
    make = make_numbers if case["problem"] == "regression" else make_members
    members, y = make(case["seed"], *case["arguments"])
    if case["rounded"] is not None:
        members = {name: np.round(p, case["rounded"]) for name, p in members.items()}
        members = members if case["problem"] != "multiclass" else {n: p / p.sum(axis=1, keepdims=True) for n, p in members.items()}
    found = blend(members, y, metric=case["metric"], preset="autogluon", rounds=case["rounds"])
    assert list(found.weights.values()) == pytest.approx(case["weights"])
    kept = [METRICS[case["metric"]].of_loss(loss) for loss in case["losses"]]
    assert [step.score for step in found.trajectory][: len(kept)] == pytest.approx(kept, abs=2e-6)


@pytest.mark.parametrize("rows", [1, 15, 255, 256, 257, 5000, 70001])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_of_logarithms_compiled_and_not(rows: int, kind: type) -> None:
    random = np.random.default_rng(rows)
    truth = (random.random((7, rows)) ** 30).astype(kind)
    truth[0, : rows // 2] = 0
    for total in (np.zeros(rows), 3 * random.random(rows)):
        expected = np.log(np.maximum(truth.astype(np.longdouble) + total, 1e-15)).sum(axis=1).astype(float)
        assert log_sums.log_sums_numpy(truth, total, 1e-15) == pytest.approx(expected, rel=1e-12)
        assert log_sums.log_sums(truth, total, 1e-15) == pytest.approx(expected, rel=1e-12)
        assert log_sums.log_sums(truth[1:4], total, 1e-15) == pytest.approx(expected[1:4], rel=1e-12)


def test_without_the_compiled_loop_the_choice_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    members, y = make_members(5, 3000)
    compiled = blend(members, y).weights
    monkeypatch.setattr(log_sums, "_library", lambda: None)
    assert blend(members, y).weights == compiled


def test_weights_of_rows_count_as_copies_of_them() -> None:
    members, y = make_members(7, 60)
    times = np.random.default_rng(0).integers(1, 4, 60)
    pool, codes, _ = make_pool(members, y)
    long = np.repeat(np.arange(60), times)
    for name in ("log_loss", "brier", "accuracy"):
        weighted = greedy(pool, codes, METRICS[name], weight=times.astype(float))
        assert weighted.rule.weights == pytest.approx(greedy(pool.take(long), codes[long], METRICS[name]).rule.weights)


def test_more_rows_than_asked_for_are_sampled() -> None:
    members, y = make_members(8, 500)
    pool, codes, _ = make_pool(members, y)
    picked = np.random.RandomState(3).choice(500, 100, replace=False)
    rule = greedy(pool, codes, METRICS["log_loss"], rows=100, seed=3).rule
    direct, _, _ = slow_autogluon(pool.take(picked).values, lambda p: METRICS["log_loss"].loss(codes[picked], p), 25)
    assert list(rule.weights) == pytest.approx(direct)
