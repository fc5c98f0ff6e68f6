"""Effective parameters of models: closed forms, the definition entry by entry, and S y = prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn import ensemble
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeRegressor

from modelweave.analysis.smoothers.combination import Combination
from modelweave.analysis.smoothers.effective import (
    effective_curve,
    effective_parameters,
    smoother_blocks,
    smoother_weights,
    summarize_smoother,
)
from modelweave.errors import CompatibilityError

from .made import made, p0, slow_boosting, slow_tree

X, Y, Q = made()
LABELS = np.array(["few", "many", "none"])[np.digitize(Y, [1.0, 2.5])]
BOTH = np.stack([Y, Y**2], axis=1)


def voting() -> Any:
    members = [("tree", DecisionTreeRegressor(max_depth=3)), ("near", KNeighborsRegressor(4)), ("line", LinearRegression()), ("no", "drop")]
    return ensemble.VotingRegressor(members, weights=[1, 2, 5, 7])


REGRESSORS = {
    "tree": lambda: DecisionTreeRegressor(random_state=0),
    "shallow": lambda: DecisionTreeRegressor(max_depth=2, ccp_alpha=0.02),
    "few leaves": lambda: DecisionTreeRegressor(max_leaf_nodes=7),
    "extra tree": lambda: ExtraTreeRegressor(max_leaf_nodes=9, random_state=1),
    "forest": lambda: ensemble.RandomForestRegressor(12, max_features=1 / 3, random_state=0),
    "forest of samples": lambda: ensemble.RandomForestRegressor(9, max_samples=0.5, max_depth=4, random_state=0),
    "forest without bootstrap": lambda: ensemble.RandomForestRegressor(8, bootstrap=False, max_features=1 / 3, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesRegressor(8, max_depth=3, random_state=0),
    "bagging": lambda: ensemble.BaggingRegressor(n_estimators=6, max_features=0.6, random_state=0),
    "bagging of neighbours": lambda: ensemble.BaggingRegressor(KNeighborsRegressor(3), n_estimators=5, random_state=0),
    "bagging of lines": lambda: ensemble.BaggingRegressor(
        LinearRegression(), n_estimators=5, bootstrap=False, max_samples=0.7, random_state=0
    ),
    "pasting": lambda: ensemble.BaggingRegressor(n_estimators=6, bootstrap=False, max_samples=0.6, random_state=0),
    "neighbours": lambda: KNeighborsRegressor(5),
    "near neighbours": lambda: KNeighborsRegressor(5, weights="distance"),
    "own weights": lambda: KNeighborsRegressor(5, weights=lambda d: np.exp(-d)),
    "least squares": lambda: LinearRegression(),
    "least squares without intercept": lambda: LinearRegression(fit_intercept=False),
    "ridge": lambda: Ridge(0.7),
    "ridge without intercept": lambda: Ridge(0.7, fit_intercept=False),
    "ridge by validation": lambda: RidgeCV((0.1, 1.0, 10.0)),
    "mean": lambda: DummyRegressor(),
    "voting": voting,
    "pipeline": lambda: make_pipeline(StandardScaler(), ensemble.RandomForestRegressor(5, random_state=0)),
    "pipeline of one": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(3)),
}


@pytest.mark.parametrize(("name", "outputs"), [(name, k) for name in REGRESSORS for k in (1, 2) if (name, k) != ("voting", 2)])
def test_weights_times_labels_are_the_prediction(name: str, outputs: int) -> None:
    labels = Y if outputs == 1 else BOTH
    model = REGRESSORS[name]().fit(X, labels)
    for rows in (X, Q):
        S = smoother_weights(model, X, rows)
        assert np.abs(S @ labels - model.predict(rows)).max() <= 1e-10
        assert effective_parameters(model, X, rows, labels) == pytest.approx(p0(S), rel=1e-10)
        assert np.allclose(S.sum(axis=1), 1) or "without intercept" in name


@pytest.mark.parametrize("init", ["zero", None])
@pytest.mark.parametrize("leaves", [None, 2, 7])
def test_boosting(init: str | None, leaves: int | None) -> None:
    model = ensemble.GradientBoostingRegressor(
        n_estimators=50, learning_rate=0.05, max_depth=None, max_leaf_nodes=leaves, init=init, max_features=0.6, random_state=0
    ).fit(X, Y)
    S = smoother_weights(model, X, Q)
    assert np.abs(S @ Y - model.predict(Q)).max() <= 1e-10
    slow = slow_boosting(model.apply(X), model.apply(Q), 0.05, init is None)
    assert np.allclose(S, slow[-1], rtol=0, atol=1e-13)
    assert effective_parameters(model, X, Q, Y) == pytest.approx(p0(slow[-1]), rel=1e-10)
    assert np.allclose(effective_curve(model, X, Q), [p0(stage) for stage in slow], rtol=1e-10)
    sums = summarize_smoother(model, X, Q, Y).row_sums
    assert sums == pytest.approx((1.0, 1.0) if init is None else (0.923055, 0.923055), abs=1e-6)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_forest_entry_by_entry(bootstrap: bool) -> None:
    model = ensemble.RandomForestRegressor(7, bootstrap=bootstrap, max_depth=4, random_state=3).fit(X, Y)
    drawn = model.estimators_samples_ if bootstrap else [np.arange(len(X))] * 7
    parts = [
        slow_tree(tree.apply(X), tree.apply(Q), np.bincount(sample, minlength=len(X)))
        for tree, sample in zip(model.estimators_, drawn, strict=True)
    ]
    assert np.allclose(smoother_weights(model, X, Q), np.mean(parts, axis=0), rtol=0, atol=1e-14)
    assert np.allclose(effective_curve(model, X, Q), [p0(np.mean(parts[: b + 1], axis=0)) for b in range(7)])


@pytest.mark.parametrize("labels", [LABELS, np.stack([LABELS, Y > 1], axis=1).astype(str)], ids=["one", "two"])
def test_class_frequencies_are_smoothed_labels(labels: Any) -> None:
    for model in (ensemble.RandomForestClassifier(9, random_state=0), DecisionTreeClassifier(max_depth=3), KNeighborsClassifier(4)):
        S = smoother_weights(model.fit(X, labels), X, Q)
        assert effective_parameters(model, X, Q, labels) == pytest.approx(p0(S))
    with pytest.raises(CompatibilityError, match="y_train"):  # another order of the labels
        effective_parameters(model, X, Q, labels[::-1])


def test_classifiers_of_several() -> None:
    bagging = ensemble.BaggingClassifier(n_estimators=5, random_state=0).fit(X, LABELS)
    soft = ensemble.VotingClassifier(
        [("a", DecisionTreeClassifier(max_depth=2)), ("b", KNeighborsClassifier(5))], voting="soft", weights=[3, 1]
    )
    for model in (bagging, soft.fit(X, LABELS)):
        assert np.allclose(smoother_weights(model, X, Q) @ (LABELS[:, None] == model.classes_), model.predict_proba(Q), atol=1e-12)
        assert effective_parameters(model, X, Q, LABELS) > 1


def test_closed_forms() -> None:
    assert effective_parameters(DummyRegressor().fit(X, Y), X, Q, Y) == pytest.approx(1, rel=1e-12)
    ten = X[:10]
    assert effective_parameters(KNeighborsRegressor(5).fit(ten, Y[:10]), ten, Q, Y[:10]) == pytest.approx(2, rel=1e-12)
    assert effective_parameters(DecisionTreeRegressor().fit(X, Y), X, Q, Y) == pytest.approx(len(X), rel=1e-12)
    line = summarize_smoother(LinearRegression().fit(X, Y), X, Q, Y)
    assert line.p0_train == pytest.approx(6, rel=1e-12) and line.trace == pytest.approx(6, rel=1e-12)
    flat = summarize_smoother(LinearRegression(fit_intercept=False).fit(X, Y), X, Q)
    assert flat.p0_train == pytest.approx(5, rel=1e-12) and flat.trace == pytest.approx(5, rel=1e-12)
    double = np.concatenate([X, X[:, :1]], axis=1)  # a column twice adds no parameter
    assert effective_parameters(LinearRegression().fit(double, Y), double, double, Y) == pytest.approx(6, rel=1e-9)
    sizes = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    ridge = summarize_smoother(Ridge(2.0).fit(X, Y), X, Q, Y)
    assert ridge.trace == pytest.approx(1 + np.sum(sizes**2 / (sizes**2 + 2)), rel=1e-12)
    assert ridge.p0_train == pytest.approx(1 + np.sum((sizes**2 / (sizes**2 + 2)) ** 2), rel=1e-12)


def test_one_tree_needs_leaf_sizes_only() -> None:
    """The shortcut: |s|^2 = sum w^2 / (sum w)^2 within the leaf."""
    model = ensemble.RandomForestRegressor(1, max_depth=3, random_state=0).fit(X, Y)
    weights = np.bincount(model.estimators_samples_[0], minlength=len(X))
    leaves, query = model.apply(X)[:, 0], model.apply(Q)[:, 0]
    shares = np.bincount(leaves, weights**2) / np.maximum(np.bincount(leaves, weights), 1) ** 2
    assert effective_parameters(model, X, Q) == pytest.approx(len(X) / len(Q) * shares[query].sum(), rel=1e-12)


def test_interpolating_forest_and_its_bootstrap() -> None:
    whole = ensemble.RandomForestRegressor(20, bootstrap=False, max_features=1 / 3, random_state=0).fit(X, Y)
    found = summarize_smoother(whole, X, Q, Y)
    assert found.p0_train == pytest.approx(len(X), rel=1e-12) and found.trace == pytest.approx(len(X), rel=1e-12)
    assert found.gap > 0.5 * len(X)
    drawn = ensemble.RandomForestRegressor(20, max_features=1 / 3, random_state=0).fit(X, Y)
    out = np.bincount(drawn.estimators_samples_[0], minlength=len(X)) == 0
    first = smoother_weights(drawn.estimators_[0], X, X) if not out.any() else smoother_weights(Combination([drawn]), X, X)
    assert np.all(first.diagonal()[out] < 1)  # a row that was not drawn does not interpolate


def test_combination_is_convex() -> None:
    forest, line = ensemble.RandomForestRegressor(5, random_state=0).fit(X, Y), Ridge().fit(X, Y)
    mix = Combination([forest, line, DummyRegressor().fit(X, Y)], [0.5, 0.3, 0.2])
    each = [effective_parameters(member, X, Q) for member in mix.members]
    parts = [smoother_weights(member, X, Q) for member in mix.members]
    got = effective_parameters(mix, X, Q, Y)
    assert got == pytest.approx(p0(np.einsum("jqn,j->qn", np.array(parts), mix.shares)), rel=1e-12)
    assert got < np.dot(mix.shares, each)
    same = Combination([forest] * 4, [0.1, 0.2, 0.3, 0.4])
    assert effective_parameters(same, X, Q, Y) == pytest.approx(each[0], rel=1e-12)
    assert np.allclose(effective_curve(same, X, Q), each[0], rtol=1e-12)
    unequal = Combination([forest, line], [0.3, 0.9])
    assert np.allclose(effective_curve(unequal, X, Q)[1], p0((0.3 * parts[0] + 0.9 * parts[1]) / 1.2))
    nested = Combination([mix, ensemble.GradientBoostingRegressor(n_estimators=5).fit(X, Y)], [0.5, 0.5])
    assert np.abs(smoother_weights(nested, X, Q) @ Y - nested.predict(Q)).max() < 1e-10


def test_functions_and_arrays() -> None:
    S = np.random.default_rng(0).random((len(Q), len(X)))
    for given in (S, csr_array(S), csr_matrix(S), lambda rows: S, lambda rows: csr_array(S)):
        assert effective_parameters(given, X, Q) == pytest.approx(p0(S), rel=1e-12)
        assert np.array_equal(smoother_weights(given, X, Q), S)
    twice = csr_matrix((np.array([0.5, 0.5]), np.array([0, 0]), np.array([0, 2])), shape=(1, 2))  # one entry, stored in two halves
    assert effective_parameters(twice, np.zeros((2, 1)), np.zeros((1, 1))) == 2


def test_blocks_are_the_whole() -> None:
    for model in (ensemble.RandomForestRegressor(5).fit(X, Y), ensemble.GradientBoostingRegressor(n_estimators=4).fit(X, Y)):
        blocks = list(smoother_blocks(model, X, Q, memory=4_000))
        assert len(blocks) > 2 and all(block.nbytes <= 4_000 for _, block in blocks)
        assert np.allclose(np.concatenate([block for _, block in blocks]), smoother_weights(model, X, Q), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["tree", "forest", "bagging", "bagging of lines", "neighbours", "ridge", "voting", "pipeline"])
def test_tables(name: str) -> None:
    pandas = pytest.importorskip("pandas")
    names = [f"column {i}" for i in range(5)]
    train, query = pandas.DataFrame(X, columns=names), pandas.DataFrame(Q, columns=names, index=np.arange(100, 140))
    model = REGRESSORS[name]().fit(train, pandas.Series(Y, index=np.arange(60)[::-1]))
    assert effective_parameters(model, train, query, Y) == pytest.approx(p0(smoother_weights(model, train, query)), rel=1e-10)
    assert np.abs(smoother_weights(model, train, query) @ Y - model.predict(query)).max() < 1e-10


def test_missing_values_and_sparse_rows() -> None:
    holes = np.where(np.random.default_rng(2).random(X.shape) < 0.1, np.nan, X)
    model = ensemble.RandomForestRegressor(5, random_state=0).fit(holes, Y)
    assert np.abs(smoother_weights(model, holes, Q) @ Y - model.predict(Q)).max() < 1e-10
    zeros = csr_array(np.where(X < 0.5, 0, X))
    for made_of in ("forest", "bagging", "neighbours"):
        fitted = REGRESSORS[made_of]().fit(zeros, Y)
        assert np.abs(smoother_weights(fitted, zeros, zeros) @ Y - fitted.predict(zeros)).max() < 1e-10
        assert effective_parameters(fitted, zeros, zeros, Y) > 1
