"""What is no smoother, or does not fit, is refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelweave.analysis.smoothers.combination import Combination
from modelweave.analysis.smoothers.effective import effective_curve, effective_parameters, smoother_blocks, summarize_smoother
from modelweave.analysis.smoothers.linear import neighbour_rows
from modelweave.errors import CompatibilityError, ModelweaveError, ParameterError

from .made import made

X, Y, Q = made()
SIGNS = (Y > 1).astype(int)
HARD = ensemble.VotingClassifier([("a", DecisionTreeClassifier())], voting="hard")


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (ensemble.GradientBoostingClassifier(n_estimators=2), "log loss"),
        (ensemble.HistGradientBoostingClassifier(max_iter=2), "log loss"),
        (ensemble.HistGradientBoostingRegressor(max_iter=2), "use GradientBoostingRegressor"),
        (ensemble.AdaBoostRegressor(n_estimators=2), "median"),
        (ensemble.StackingRegressor([("a", Ridge()), ("b", DummyRegressor())], cv=2), "Combination"),
        (SVR(), "not among"),
        (ensemble.GradientBoostingRegressor(n_estimators=2, loss="huber"), "loss='squared_error'"),
        (ensemble.GradientBoostingRegressor(n_estimators=2, subsample=0.5), "subsample=1.0"),
        (ensemble.GradientBoostingRegressor(n_estimators=2, n_iter_no_change=3), "n_iter_no_change=None"),
        (ensemble.GradientBoostingRegressor(n_estimators=2, init=LinearRegression()), "init='zero'"),
        (DecisionTreeRegressor(criterion="absolute_error"), "medians"),
        (ensemble.RandomForestRegressor(2, monotonic_cst=[1, 0, 0, 0, 0]), "monotonic_cst"),
        (LinearRegression(positive=True), "positive=False"),
        (DummyRegressor(strategy="median"), "only the mean"),
        (HARD, "voting='soft'"),
        (ensemble.BaggingRegressor(ensemble.GradientBoostingRegressor(n_estimators=2), n_estimators=2), "only bagging of"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_no_smoother(model: Any, word: str) -> None:
    fitted = model.fit(X, SIGNS if "Classifier" in type(model).__name__ else Y)
    with pytest.raises(ParameterError, match=word) as caught:
        effective_parameters(fitted, X, Q)
    assert type(model).__name__ in str(caught.value) and "\n" not in str(caught.value)


def test_an_alpha_for_each_output() -> None:
    with pytest.raises(ParameterError, match="alpha for each"):
        effective_parameters(Ridge([1.0, 2.0]).fit(X, np.stack([Y, Y], axis=1)), X, Q)


MODELS = [
    DecisionTreeRegressor(max_leaf_nodes=10),
    ensemble.RandomForestRegressor(4, max_depth=4),
    ensemble.BaggingRegressor(n_estimators=4),
    ensemble.GradientBoostingRegressor(n_estimators=4, max_depth=2),
    LinearRegression(),
    Ridge(),
    KNeighborsRegressor(3),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_other_training_rows(model: Any) -> None:
    other, labels, _ = made(seed=1)
    fitted = model.fit(X, Y)
    assert effective_parameters(fitted, X, Q, Y) > 0
    with pytest.raises(CompatibilityError, match=type(model).__name__):
        effective_parameters(fitted, other, Q, labels)
    with pytest.raises(CompatibilityError, match=type(model).__name__):
        effective_parameters(fitted, X, Q, Y[::-1])
    with pytest.raises(CompatibilityError):
        effective_parameters(fitted, X[:30], Q, Y[:30])


@pytest.mark.parametrize("model", MODELS[:5], ids=lambda model: type(model).__name__)
def test_other_training_rows_show_without_labels(model: Any) -> None:
    with pytest.raises(CompatibilityError, match="X_train"):
        effective_parameters(model.fit(X, Y), made(seed=1)[0], Q)


def test_weighted_rows_show() -> None:
    weights = np.linspace(0.1, 2, len(X))
    for model in (MODELS[0], MODELS[3], MODELS[4]):
        with pytest.raises(CompatibilityError, match="sample_weight"):
            effective_parameters(model.fit(X, Y, sample_weight=weights), X, Q)
    with pytest.raises(CompatibilityError, match="class_weight"):
        effective_parameters(DecisionTreeClassifier(class_weight={0: 1, 1: 5}, max_depth=2).fit(X, SIGNS), X, Q)


BAD = np.where(np.arange(len(Q))[:, None] == 3, np.nan, Q)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: effective_parameters(np.ones((3, 60)), X, Q), "3 x 60, expected 40 x 60"),
        (lambda: effective_parameters(np.ones(60), X, Q), "expected 40 x 60"),
        (lambda: effective_parameters(np.full((40, 60), np.nan), X, Q), "finite"),
        (lambda: effective_parameters(lambda rows: np.ones((2, 2)), X, Q), "expected 40 x 60"),
        (lambda: effective_parameters(np.ones((40, 60)), X, Q, Y), "leave y_train out"),
        (lambda: effective_parameters(DecisionTreeRegressor(), X, Q), "fitted"),
        (lambda: effective_parameters(DecisionTreeRegressor, X, Q), "is the class"),
        (lambda: effective_parameters(DecisionTreeRegressor().fit(X, Y), X, Q[:0]), "X has no rows"),
        (lambda: effective_parameters(DecisionTreeRegressor().fit(X, Y), X[:0], Q), "X_train has no rows"),
        (lambda: effective_parameters(DecisionTreeRegressor().fit(X, Y), X, Q[:, :2]), "2 features"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, Q[:, :2]), "2"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, BAD), "finite"),
        (lambda: effective_parameters(KNeighborsRegressor().fit(X, Y), X, BAD), "NaN"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, Q, Y[:5]), "5 labels"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, Q, np.where(Y > 2, np.nan, Y)), "NaN"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, Q, np.stack([Y, Y], axis=1)), "outputs"),
        (lambda: effective_parameters(Ridge().fit(X, Y), X, Q, np.array(["a"] * 60)), "numbers"),
        (lambda: effective_curve(Ridge().fit(X, Y), X, Q), "no members"),
        (lambda: effective_curve(np.ones((40, 60)), X, Q), "no members"),
        (lambda: effective_curve(Combination([Ridge().fit(X, Y)] * 2, [0.0, 1.0]), X, Q), "another order"),
        (lambda: summarize_smoother(np.ones((40, 60)), X, Q), "function"),
        (lambda: smoother_blocks(np.ones((40, 60)), X, Q, memory=0), "memory"),
        (lambda: Combination([]), "at least one"),
        (lambda: Combination([Ridge()], [0.5, 0.5]), "1 expected"),
        (lambda: Combination([Ridge()], [np.inf]), "finite"),
        (lambda: neighbour_rows(np.array([[0, 1]]), 2, np.ones((1, 2)), lambda d: 0 * d), "add up to 0"),
        (lambda: neighbour_rows(np.array([[0, 1]]), 2, None, "distance"), "distances"),
    ],
)
def test_bad_input(call: Any, word: str) -> None:
    with pytest.raises(ModelweaveError, match=word) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_figure(tmp_path: Path) -> None:
    from modelweave.analysis.smoothers.smoothing_figure import draw_smoothing
    from modelweave.errors import OutputError

    draw_smoothing(
        {"new rows": [60.0, 30.0, 20.0], "training rows": [60.0] * 3}, tmp_path / "a.png", offsets={0.0: 60.0, 0.1: 30.0}, count=60
    )
    draw_smoothing({"new rows": [60.0]}, tmp_path / "b.svg")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.png", "b.svg"))
    with pytest.raises(CompatibilityError, match="curve"):
        draw_smoothing({}, tmp_path / "c.png")
    with pytest.raises(OutputError):
        draw_smoothing({"new rows": [60.0]}, tmp_path / "no folder" / "c.png")
