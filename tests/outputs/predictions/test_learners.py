"""Each weight learner against a closed form, a grid, or scikit-learn and SciPy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls
from sklearn.linear_model import LogisticRegression, Ridge

from modelweave import blend
from modelweave.errors import CompatibilityError
from modelweave.outputs.predictions.learners.simplex import least_log_loss, least_squares
from modelweave.outputs.predictions.metrics import METRICS

from .slow import make_members, make_numbers

MEMBERS, Y = make_members(0, 240, 3)
TWO, Y2 = make_members(1, 240, 2)
TWO = {name: p[:, 1] for name, p in TWO.items()}
NUMBERS, T = make_numbers(2)


def rule_of(method: str, members: Any, y: Any, metric: str | None = None, **options: Any) -> Any:
    return blend(members, y, method=method, metric=metric, fall_back=False, **options).rule


def grid(members: int, steps: int) -> np.ndarray:
    points = [w for w in product(range(steps + 1), repeat=members) if sum(w) == steps]
    return np.array(points) / steps


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_the_simplex_has_no_better_point(metric: str) -> None:
    for members, y in ((MEMBERS, Y), (TWO, Y2)):
        weights = np.array(rule_of("simplex", members, y, metric).weights)
        arrays = list(members.values())
        assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
        losses = [METRICS[metric].loss(y, np.tensordot(w, arrays, axes=1)) for w in grid(3, 40)]
        own = METRICS[metric].loss(y, np.tensordot(weights, arrays, axes=1))
        assert own <= min(losses) + 1e-9


def test_the_simplex_of_numbers() -> None:
    weights = np.array(rule_of("simplex", NUMBERS, T).weights)
    arrays = list(NUMBERS.values())
    own = METRICS["mse"].loss(T, np.tensordot(weights, arrays, axes=1))
    assert own <= min(METRICS["mse"].loss(T, np.tensordot(w, arrays, axes=1)) for w in grid(3, 40)) + 1e-9


def test_closed_forms_on_the_simplex() -> None:
    assert least_squares(np.diag([1.0, 2.0, 4.0])) == pytest.approx(np.array([4, 2, 1]) / 7, abs=1e-6)
    assert least_squares(np.array([[1.0, 2.0], [2.0, 9.0]])) == pytest.approx([1, 0], abs=1e-6)
    truth = np.array([[0.9] * 3 + [0.1], [0.1] * 3 + [0.9]])
    # 3 log(.1 + .8 w) + log(.9 - .8 w): the derivative vanishes at w = 2.6 / 3.2
    assert least_log_loss(truth) == pytest.approx([0.8125, 0.1875], abs=1e-5)
    assert least_log_loss(truth, np.array([1.0, 0, 0, 3.0])) == pytest.approx([0.1875, 0.8125], abs=1e-5)


def test_least_squares_without_a_sum_as_scipy() -> None:
    direct, _ = scipy_nnls(np.column_stack(list(NUMBERS.values())), T)
    assert list(rule_of("nnls", NUMBERS, T).weights) == pytest.approx(direct, abs=1e-6)
    onehot = np.eye(3)[Y]
    direct, _ = scipy_nnls(np.column_stack([p.ravel() for p in MEMBERS.values()]), onehot.ravel())
    assert list(rule_of("nnls", MEMBERS, Y).weights) == pytest.approx(direct / direct.sum(), abs=1e-6)
    both = np.column_stack([np.r_[1 - p, p] for p in TWO.values()])
    direct, _ = scipy_nnls(both, np.r_[1 - Y2, Y2].astype(float))
    assert list(rule_of("nnls", TWO, Y2).weights) == pytest.approx(direct / direct.sum(), abs=1e-6)


def test_the_logistic_stacker_is_scikit_learns() -> None:
    logs = np.log(np.column_stack(list(MEMBERS.values())))
    scale = logs.std()
    peer = LogisticRegression(C=1.0, max_iter=2000, tol=1e-8).fit(logs / scale, Y)
    assert rule_of("logistic", MEMBERS, Y)(list(MEMBERS.values())) == pytest.approx(peer.predict_proba(logs / scale), abs=1e-3)
    odds = np.log(np.column_stack(list(TWO.values())))
    odds = odds - np.log(1 - np.column_stack(list(TWO.values())))
    peer = LogisticRegression(C=0.5, max_iter=2000, tol=1e-8).fit(odds / odds.std(), Y2)
    found = rule_of("logistic", TWO, Y2, strength=2.0)(list(TWO.values()))
    assert found == pytest.approx(peer.predict_proba(odds / odds.std())[:, 1], abs=1e-3)


def test_a_class_that_was_never_seen_is_not_foretold() -> None:
    y = np.minimum(Y, 1)
    p = rule_of("logistic", MEMBERS, y, labels=[0, 1, 2])(list(MEMBERS.values()))
    assert p[:, 2].max() < 1e-6 and METRICS["accuracy"].score(y, p) > 0.8


def test_the_ridge_stacker_is_scikit_learns() -> None:
    X = np.column_stack(list(NUMBERS.values()))
    scale = (X - X.mean(0)).std()
    weight = np.random.default_rng(0).random(len(T))
    for w in (None, weight):
        middle = np.average(X, axis=0, weights=w)
        scale = np.sqrt(np.average((X - middle) ** 2, weights=None if w is None else np.broadcast_to(w[:, None], X.shape)))
        peer = Ridge(alpha=0.7).fit(X / scale, T, sample_weight=w)
        found = rule_of("ridge", NUMBERS, T, strength=0.7, sample_weight=w)
        assert found(list(NUMBERS.values())) == pytest.approx(peer.predict(X / scale), abs=1e-9)
    wide = {name: np.column_stack([p, -p]) for name, p in NUMBERS.items()}
    targets = np.column_stack([T, -T])
    both = rule_of("ridge", wide, targets)(list(wide.values()))
    assert both[:, 0] == pytest.approx(-both[:, 1], abs=1e-9)


def test_weights_a_class_are_each_the_best_of_their_column() -> None:
    weights = np.array(rule_of("per_class", MEMBERS, Y).weights)
    for k in range(3):
        columns = np.stack([p[:, k] for p in MEMBERS.values()])
        own = np.mean((weights[:, k] @ columns - (k == Y)) ** 2)
        assert own <= min(np.mean((w @ columns - (k == Y)) ** 2) for w in grid(3, 40)) + 1e-9
    assert rule_of("per_class", TWO, Y2).weights == rule_of("simplex", TWO, Y2).weights


def test_segments_shrink_to_the_weights_of_all() -> None:
    segments = np.where(np.arange(240) < 200, "large", "small")
    members = {"a": np.where((segments == "large")[:, None], MEMBERS["m0"], MEMBERS["m2"]), "b": MEMBERS["m1"]}
    rule = rule_of("per_group", members, Y, segments=segments, shrink=50)
    for word, rows in (("large", segments == "large"), ("small", segments == "small")):
        own = np.array(rule_of("simplex", {n: p[rows] for n, p in members.items()}, Y[rows]).weights)
        n = rows.sum()
        assert np.array(rule.rules[word].weights) == pytest.approx((n * own + 50 * np.array(rule.otherwise.weights)) / (n + 50), abs=1e-9)
    assert rule.rules["large"].weights[0] > rule.rules["small"].weights[0]
    found = blend(members, Y, method="per_group", groups=segments)
    assert any("groups are taken as segments" in note for note in found.notes)


def test_a_gate_finds_which_member_to_trust_where() -> None:
    # each member is sure where it knows and says one half where it does not
    random = np.random.default_rng(0)
    y, left = random.integers(0, 2, 400), random.random(400) < 0.5
    right = np.where(y == 1, 0.9, 0.1)
    members = {"left": np.where(left, right, 0.55), "right": np.where(left, 0.45, right)}
    found = blend(members, y, method="gate")
    simple = blend(members, y, method="simplex")
    assert found.verdict.scores["gate"] < simple.verdict.scores["simplex"] - 0.1
    assert found.predict(members) == pytest.approx(right, abs=0.1)


def test_a_gate_of_numbers_is_no_worse_than_equal_weights() -> None:
    found = rule_of("gate", NUMBERS, T)(list(NUMBERS.values()))
    mean = np.mean(list(NUMBERS.values()), axis=0)
    assert METRICS["mse"].loss(T, found) < METRICS["mse"].loss(T, mean)


def test_the_universal_mixture_by_its_closed_form() -> None:
    # two members, the second right every second row as in (1, 2), (1, 1/2): after them the mean weight is the ratio of two integrals
    p, q = np.array([0.4, 0.4]), np.array([0.8, 0.2])
    truth = np.linspace(0, 1, 20001)
    likelihood = np.prod([(1 - truth) * p[i] + truth * q[i] for i in range(2)], axis=0)
    expected = (truth * likelihood).sum() / likelihood.sum()
    members = {"p": np.array([0.4, 0.6]), "q": np.array([0.8, 0.8])}
    found = rule_of("universal", members, [1, 0], points=200)
    assert found.weights[1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])
def test_the_evolution_strategy_is_never_worse_than_the_mean_and_near_the_simplex(metric: str) -> None:
    rule = rule_of("cma_es", TWO, Y2, metric, generations=40)
    arrays = list(TWO.values())
    own = METRICS[metric].loss(Y2, rule(arrays))
    assert own <= METRICS[metric].loss(Y2, np.mean(arrays, axis=0))
    if metric == "log_loss":
        best = METRICS[metric].loss(Y2, rule_of("simplex", TWO, Y2)(arrays))
        assert own == pytest.approx(best, abs=1e-3)
    assert rule.weights == rule_of("cma_es", TWO, Y2, metric, generations=40).weights, "the same seed, the same weights"
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    rule_of("cma_es", TWO, Y2, metric, generations=2)
    assert np.random.get_state()[1].tolist() == before, "the global generator is left alone"  # noqa: NPY002


def test_plain_rules() -> None:
    arrays = list(MEMBERS.values())
    assert rule_of("mean", MEMBERS, Y)(arrays) == pytest.approx(np.mean(arrays, axis=0))
    assert rule_of("best", MEMBERS, Y).weights == (1.0, 0.0, 0.0)
    middle = np.median(arrays, axis=0)
    assert rule_of("median", MEMBERS, Y)(arrays) == pytest.approx(middle / middle.sum(axis=1, keepdims=True))
    positive = {name: np.exp(p) for name, p in NUMBERS.items()}
    assert rule_of("geometric", positive, np.exp(T))(list(positive.values())) == pytest.approx(
        np.exp(np.mean(list(NUMBERS.values()), axis=0))
    )
    with pytest.raises(CompatibilityError, match="member 'm0': geometric needs numbers above 0"):
        rule_of("geometric", NUMBERS, T)


def test_ranks_do_not_see_the_scale_of_a_member() -> None:
    squashed = {**TWO, "m1": TWO["m1"] ** 5 / 2}
    for members in (TWO, squashed):
        ranks = np.mean([np.argsort(np.argsort(p)) for p in members.values()], axis=0) / 239
        assert rule_of("rank_mean", members, Y2, "roc_auc")(list(members.values())) == pytest.approx(ranks, abs=1e-9)
    wide, targets = {n: np.column_stack([p, p]) for n, p in NUMBERS.items()}, np.column_stack([T, T])
    with pytest.raises(CompatibilityError, match="rank_mean: expected one column a member"):
        rule_of("rank_mean", wide, targets)
