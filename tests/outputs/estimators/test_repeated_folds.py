"""Means over repeated folds: the contract, every copy by hand, and what a mean can and cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from modelweave import RepeatedFoldClassifier, RepeatedFoldRegressor, Split
from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.estimators.folds import seeded
from modelweave.outputs.estimators.repeated_folds import check_apart
from modelweave.outputs.predictions.metrics import METRICS

X, Y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)[:300, :6]
Y = Y[:300]
TREE = DecisionTreeClassifier(max_depth=4, max_features=2)


@parametrize_with_checks(
    [
        RepeatedFoldClassifier(cv=2, repeats=2),
        RepeatedFoldRegressor(cv=2, repeats=2),
        RepeatedFoldClassifier(DecisionTreeClassifier(), cv=3, repeats=1, combine="logit"),
        RepeatedFoldRegressor(DecisionTreeRegressor(), cv=3, repeats=1),
    ]
)
def test_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_every_copy_by_hand() -> None:
    found = RepeatedFoldClassifier(GaussianNB(), cv=4, repeats=3, random_state=7).fit(X, Y)
    folds = Split(4, 3, 7).over(Y)
    left, count, mean = np.zeros((300, 2)), np.zeros(300), np.zeros((300, 2))
    for fold, model in zip(folds, found.estimators_, strict=True):
        own = GaussianNB().fit(X[fold.train], Y[fold.train])
        assert model.predict_proba(X) == pytest.approx(own.predict_proba(X))
        left[fold.test] += own.predict_proba(X[fold.test])
        count[fold.test] += 1
        mean += own.predict_proba(X) / 12
    assert count.tolist() == [3] * 300, "each row is left out once a repeat"
    assert found.out_of_fold_ == pytest.approx(left / 3) and found.predict_proba(X) == pytest.approx(mean)
    assert found.out_of_fold_score_ == pytest.approx(METRICS["log_loss"].score(Y, left[:, 1] / 3))
    assert found.predict(X).tolist() == mean.argmax(axis=1).tolist()


def test_regressors_by_hand() -> None:
    D, t = load_diabetes(return_X_y=True)
    found = RepeatedFoldRegressor(Ridge(), cv=3, repeats=2, random_state=1).fit(D, t)
    own = [Ridge().fit(D[fold.train], t[fold.train]).predict(D) for fold in Split(3, 2, 1).over(t)]
    assert found.predict(D) == pytest.approx(np.mean(own, axis=0))
    wide = RepeatedFoldRegressor(Ridge(), cv=3, repeats=2, random_state=1).fit(D, np.column_stack([t, -t]))
    assert wide.predict(D)[:, 1] == pytest.approx(-found.predict(D))


def test_a_mean_of_logits_is_the_geometric_mean() -> None:
    found = RepeatedFoldClassifier(GaussianNB(), cv=3, repeats=1, combine="logit").fit(X, Y)
    product = np.prod([model.predict_proba(X) for model in found.estimators_], axis=0) ** (1 / 3)
    assert found.predict_proba(X) == pytest.approx(product / product.sum(axis=1, keepdims=True))


def test_the_mean_never_loses_to_its_copies_on_average() -> None:
    found = RepeatedFoldClassifier(TREE, cv=5, repeats=2).fit(X[:200], Y[:200])
    for name in ("log_loss", "brier"):
        alone = [METRICS[name].loss(Y[200:], p[:, 1]) for p in found.predict_members(X[200:])]
        assert METRICS[name].loss(Y[200:], found.predict_proba(X[200:])[:, 1]) <= np.mean(alone)
    # by hand: .9 and .2 on a row of the class: log loss of .55 against the mean of both
    assert METRICS["log_loss"].loss(np.array([1]), np.array([0.55])) == pytest.approx(0.597837, abs=1e-6)
    assert np.mean([METRICS["log_loss"].loss(np.array([1]), np.array([p])) for p in (0.9, 0.2)]) == pytest.approx(0.857399, abs=1e-6)


def test_copies_have_seeds_of_their_own_and_the_whole_repeats() -> None:
    found = RepeatedFoldClassifier(TREE, cv=5, repeats=2).fit(X, Y)
    seeds = [model.random_state for model in found.estimators_]
    assert len(set(seeds)) == 10
    again = RepeatedFoldClassifier(TREE, cv=5, repeats=2).fit(X, Y)
    assert np.array_equal(found.predict_proba(X), again.predict_proba(X))
    nested = seeded(make_pipeline(StandardScaler(), clone(TREE)), 3)
    assert nested[-1].random_state == seeded(make_pipeline(StandardScaler(), clone(TREE)), 3)[-1].random_state
    two = RepeatedFoldClassifier(TREE, cv=5, repeats=2, n_jobs=2).fit(X, Y)
    assert np.array_equal(found.predict_proba(X), two.predict_proba(X))


def test_patients_are_left_out_whole() -> None:
    patients = np.arange(300) // 6
    found = RepeatedFoldClassifier(GaussianNB(), repeats=2).fit(X, Y, groups=patients)
    for fold in found.folds_:
        assert not set(patients[fold.train]) & set(patients[fold.test])
    forward = RepeatedFoldClassifier(GaussianNB(), cv=4).fit(X, Y, time=np.arange(300))
    assert len(forward.estimators_) == 4 and np.isnan(forward.out_of_fold_[:30]).all()
    with pytest.raises(CompatibilityError, match="cohorts: patient 'p3' is in both, and 1 in all"):
        check_apart(["p1", "p3"], ["p3", "p4"])
    check_apart([1, 2], [3])


def test_gains_by_size() -> None:
    found = RepeatedFoldClassifier(TREE, cv=5, repeats=5).fit(X[:200], Y[:200])
    gains = found.gain_by_members(X[200:], Y[200:])
    assert list(gains) == [1, 5, 10, 25] and gains[25] < gains[5] < gains[1]
    alone = [METRICS["log_loss"].loss(Y[200:], p[:, 1]) for p in found.predict_members(X[200:])]
    every = found.gain_by_members(X[200:], Y[200:], sizes=[1], draws=500)[1]
    assert every == pytest.approx(np.mean(alone), rel=0.1)
    assert gains[25] == pytest.approx(METRICS["log_loss"].loss(Y[200:], found.predict_proba(X[200:])[:, 1]))
    with pytest.raises(ParameterError, match="sizes: expected numbers from 1 to 25, got 26"):
        found.gain_by_members(X, Y, sizes=[26])


def test_copies_that_are_one_gain_nothing() -> None:
    D = np.vstack([X[:100]] * 2)
    d = np.tile(Y[:100], 2)
    # each fold of two holds the same hundred rows, so both copies are the same model
    found = RepeatedFoldClassifier(GaussianNB(), cv=2, repeats=1)
    found.fit(D, d, groups=np.repeat([0, 1], 100))
    gains = found.gain_by_members(X[100:], Y[100:])
    assert gains[2] == pytest.approx(gains[1], abs=1e-12) and found.member_correlation(X[100:]) == pytest.approx(1)
    assert RepeatedFoldClassifier(TREE, cv=5, repeats=1).fit(X, Y).member_correlation(X) < 0.99


def test_in_pipelines_searches_and_tables() -> None:
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(6)])
    words = np.where(Y == 1, "benign", "malignant")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), RepeatedFoldClassifier(LogisticRegression(), cv=2, repeats=1)),
        {"repeatedfoldclassifier__estimator__C": [0.01, 1.0]},
        cv=2,
    ).fit(frame, words)
    assert search.score(frame, words) > 0.85 and set(search.predict(frame)) == {"benign", "malignant"}
    weighted = RepeatedFoldClassifier(LogisticRegression(), cv=2, repeats=1).fit(frame, words, sample_weight=np.where(Y == 1, 1, 9.0))
    plain = RepeatedFoldClassifier(LogisticRegression(), cv=2, repeats=1).fit(frame, words)
    assert weighted.predict_proba(frame)[:, 1].mean() > plain.predict_proba(frame)[:, 1].mean()
    assert weighted.feature_names_in_.tolist() == list(frame.columns)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RepeatedFoldClassifier(Ridge()).fit(X, Y), "estimator: Ridge is not a classifier"),
        (lambda: RepeatedFoldClassifier(combine="sum").fit(X, Y), "combine: unknown way 'sum'"),
        (lambda: RepeatedFoldClassifier(cv=1).fit(X, Y), "folds must be a whole number of at least 2"),
        (lambda: RepeatedFoldClassifier().fit(X, np.zeros(300)), "have one class, 0.0; expected at least two classes"),
        (lambda: RepeatedFoldClassifier().fit(X, np.r_[1, np.zeros(299)]), "fold . of 25: all .* rows to learn from are of class"),
        (lambda: RepeatedFoldClassifier().fit(X, Y, groups=[1, 2]), "groups: expected one value for each of 300 rows"),
    ],
)
def test_what_is_wrong_is_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
