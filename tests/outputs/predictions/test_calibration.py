"""Temperatures, reliability and conformal thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from modelweave.outputs.predictions.calibration import entropy, nonconformity, reliability, temperature, threshold
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.predictions.rules import temper


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(true: float) -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(4), 20000)
    y = np.array([random.choice(4, p=row) for row in p])
    assert temperature(temper(p, 1 / true), y) == pytest.approx(true, rel=0.05)


def test_no_temperature_on_a_grid_is_better() -> None:
    random = np.random.default_rng(1)
    p, y = random.random(200), random.integers(0, 2, 200)
    weight = random.random(200)
    best = temperature(p, y, weight)
    grid = np.geomspace(0.05, 20, 400)
    losses = [METRICS["log_loss"].loss(y, temper(p, t), weight) for t in grid]
    assert METRICS["log_loss"].loss(y, temper(p, best), weight) <= min(losses) + 1e-9


def test_three_of_four() -> None:
    # four rows at .99, right three times: the best probability is .75, and .99^(1/T) / (.99^(1/T) + .01^(1/T)) = .75 at T = log 99 / log 3
    assert temperature(np.full(4, 0.99), np.array([1, 1, 1, 0])) == pytest.approx(np.log(99) / np.log(3), rel=1e-4)


def test_reliability_as_scikit_learn_and_by_hand() -> None:
    random = np.random.default_rng(2)
    p, y = random.random(1000), random.integers(0, 2, 1000)
    found = reliability(p, y, bins=10)
    accuracy, confidence = calibration_curve(y, p, n_bins=10)
    assert found.accuracy == pytest.approx(accuracy) and found.confidence == pytest.approx(confidence)
    hand = reliability(np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]]), np.array([0, 1, 1]), bins=5)
    assert hand.error == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.4) and hand.rows.tolist() == [1, 2]


def test_thresholds_by_hand() -> None:
    assert threshold([0.3, 0.1, 0.2, 0.4], 0.2) == 0.4
    assert threshold([0.3, 0.1, 0.2, 0.4], 0.4) == 0.3
    assert threshold([0.3, 0.1, 0.2, 0.4], 0.1) == np.inf, "four rows cannot promise nine in ten"


def test_nonconformity_and_entropy() -> None:
    assert nonconformity(np.array([[0.7, 0.3]]), np.array([1]), True) == pytest.approx([0.7])
    assert nonconformity(np.array([0.7]), np.array([1]), True) == pytest.approx([0.3])
    assert nonconformity(np.array([2.0]), np.array([3.5]), False) == pytest.approx([1.5])
    assert nonconformity(np.array([[2.0, 1.0]]), np.array([[3.5, 1.0]]), False) == pytest.approx([1.5])
    assert entropy(np.array([0.5])) == pytest.approx([np.log(2)]) and entropy(np.array([[1.0, 0.0]])) == pytest.approx([0.0])
