"""Every metric against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as peer

from modelweave.errors import ParameterError
from modelweave.outputs.predictions.metrics import METRICS, metric_named

from .slow import make_members, make_numbers

MEMBERS, Y = make_members(0, classes=4)
P = MEMBERS["m1"]
TWO, Y2 = make_members(1, classes=2)
P2 = np.round(TWO["m1"][:, 1], 2)  # rounding makes ties
WEIGHT = np.random.default_rng(2).random(len(Y))


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_classes_score_as_in_scikit_learn(weight: np.ndarray | None) -> None:
    onehot = np.eye(4)[Y]
    expected = {
        "log_loss": peer.log_loss(Y, P, sample_weight=weight),
        "accuracy": peer.accuracy_score(Y, P.argmax(1), sample_weight=weight),
        "brier": np.average(((P - onehot) ** 2).sum(1), weights=weight),
        "roc_auc": peer.roc_auc_score(Y, P, multi_class="ovr", sample_weight=weight) if weight is None else None,
    }
    for name, value in expected.items():
        if value is not None:
            assert METRICS[name].score(Y, P, weight) == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_two_classes_in_one_column(weight: np.ndarray | None) -> None:
    both = np.column_stack([1 - P2, P2])
    assert METRICS["log_loss"].score(Y2, P2, weight) == pytest.approx(
        peer.log_loss(Y2, np.clip(both, 1e-15, 1), sample_weight=weight), rel=1e-6
    )
    assert METRICS["roc_auc"].score(Y2, P2, weight) == pytest.approx(peer.roc_auc_score(Y2, P2, sample_weight=weight), rel=1e-12)
    assert METRICS["accuracy"].score(Y2, P2, weight) == pytest.approx(peer.accuracy_score(Y2, both.argmax(1), sample_weight=weight))
    assert METRICS["brier"].score(Y2, P2, weight) == pytest.approx(2 * peer.brier_score_loss(Y2, P2, sample_weight=weight), rel=1e-12)
    for name in ("log_loss", "brier", "accuracy"):
        assert METRICS[name].score(Y2, P2, weight) == pytest.approx(METRICS[name].score(Y2, both, weight), rel=1e-12)


def test_numbers_score_as_in_scikit_learn() -> None:
    members, y = make_numbers(0)
    p, weight = members["m2"], WEIGHT[: len(y)]
    assert METRICS["rmse"].score(y, p, weight) == pytest.approx(peer.root_mean_squared_error(y, p, sample_weight=weight))
    assert METRICS["mse"].score(y, p) == pytest.approx(peer.mean_squared_error(y, p))
    assert METRICS["mae"].score(y, p) == pytest.approx(peer.mean_absolute_error(y, p))
    assert METRICS["r2"].score(y, p, weight) == pytest.approx(peer.r2_score(y, p, sample_weight=weight))
    wide, targets = np.column_stack([p, -p]), np.column_stack([y, y])
    assert METRICS["r2"].score(targets, wide) == pytest.approx(peer.r2_score(targets, wide))
    assert METRICS["mae"].score(targets, wide) == pytest.approx(peer.mean_absolute_error(targets, wide))


def test_probability_zero_is_taken_as_a_tiny_one() -> None:
    assert METRICS["log_loss"].score(np.array([1]), np.array([0.0])) == pytest.approx(-np.log(1e-15))


def test_the_area_of_one_class_alone_is_no_number() -> None:
    assert np.isnan(METRICS["roc_auc"].score(np.array([1, 1]), np.array([0.2, 0.4])))


def test_a_metric_that_does_not_fit_says_which_do() -> None:
    assert metric_named(None, "binary").name == "log_loss" and metric_named(None, "regression").name == "rmse"
    with pytest.raises(
        ParameterError, match="rmse does not apply to multiclass predictions; those that do: log_loss, brier, accuracy, roc_auc"
    ):
        metric_named("rmse", "multiclass")
    with pytest.raises(ParameterError, match="unknown metric 'logloss'; did you mean 'log_loss'"):
        metric_named("logloss", "binary")
