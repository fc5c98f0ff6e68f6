"""Blends of estimators, held to scikit-learn's own ensembles and to blends of arrays made by hand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit, cross_val_predict
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.estimators.blend import BlendClassifier, BlendRegressor
from modelweave.outputs.predictions.blend import blend
from modelweave.outputs.splits import Split

from .members import Fits, Remembers

IRIS, KIND = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"])[KIND]
BODY, SUGAR = load_diabetes(return_X_y=True)
X2, Y2 = make_classification(240, 6, n_informative=3, flip_y=0.1, random_state=3)


def classifiers() -> list[tuple[str, Any]]:
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    return [("line", LogisticRegression(max_iter=500)), ("normal", GaussianNB()), ("tree", tree)]


def regressors() -> list[tuple[str, Any]]:
    return [("line", Ridge(0.1)), ("tree", DecisionTreeRegressor(max_depth=4, random_state=0)), ("near", KNeighborsRegressor(9))]


@pytest.mark.parametrize(("X", "y"), [(IRIS, WORDS), (X2, Y2)])
def test_the_mean_is_the_soft_vote(X: Any, y: Any) -> None:
    vote = VotingClassifier(classifiers(), voting="soft").fit(X, y)
    found = BlendClassifier(classifiers(), method="mean", cv=3).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), vote.predict_proba(X), rtol=0, atol=1e-15)
    assert found.predict(X).tolist() == vote.predict(X).tolist()
    assert found.classes_.tolist() == vote.classes_.tolist()


def test_the_mean_of_numbers_is_the_voting_regressor() -> None:
    vote = VotingRegressor(regressors()).fit(BODY, SUGAR)
    found = BlendRegressor(regressors(), method="mean", cv=3).fit(BODY, SUGAR)
    np.testing.assert_allclose(found.predict(BODY), vote.predict(BODY), rtol=1e-15, atol=1e-12)


@pytest.mark.parametrize("method", ["greedy", "simplex", "logistic", "geometric"])
def test_weights_are_those_of_a_blend_of_arrays(method: str) -> None:
    cv = StratifiedKFold(4, shuffle=True, random_state=1)
    arrays = {name: cross_val_predict(model, IRIS, WORDS, cv=cv, method="predict_proba") for name, model in classifiers()}
    by_hand = blend(arrays, WORDS, method=method, fall_back=False)
    found = BlendClassifier(classifiers(), method=method, cv=cv, fall_back=False).fit(IRIS, WORDS)
    for name, p in arrays.items():
        np.testing.assert_array_equal(found.out_of_fold_[name], p)
    assert found.weights_ == by_hand.weights
    assert str(found.verdict_) == str(by_hand.verdict)
    whole = {name: clone(model).fit(IRIS, WORDS).predict_proba(IRIS) for name, model in classifiers()}
    np.testing.assert_allclose(found.predict_proba(IRIS), by_hand.predict(whole), rtol=0, atol=1e-15)


def test_members_without_a_weight_are_not_fitted_again() -> None:
    noise = ("noise", FrozenEstimator(DecisionTreeRegressor().fit(BODY, np.random.default_rng(0).normal(size=len(SUGAR)) * 1e3)))
    found = BlendRegressor([*regressors(), noise], cv=3).fit(BODY, SUGAR)
    assert found.weights_["noise"] == 0
    assert "noise" not in found.estimators_
    kept = sum(w * found.estimators_[name][0].predict(BODY) for name, w in found.weights_.items() if w)
    np.testing.assert_allclose(found.predict(BODY), kept, rtol=1e-12)


def test_fold_models_are_averaged_without_a_refit() -> None:
    cv = KFold(3)
    found = BlendRegressor(regressors(), method="simplex", cv=cv, refit=False, fall_back=False).fit(BODY, SUGAR)
    by_hand = np.zeros(len(SUGAR))
    for name, model in regressors():
        for train, _ in cv.split(BODY):
            by_hand += found.weights_[name] / 3 * clone(model).fit(BODY[train], SUGAR[train]).predict(BODY)
    np.testing.assert_allclose(found.predict(BODY), by_hand, rtol=1e-12)


def test_no_row_is_predicted_by_a_model_that_learnt_from_it() -> None:
    X = np.column_stack([np.arange(60.0), np.arange(60.0) % 7])
    found = BlendClassifier([("memory", Remembers()), ("tree", DecisionTreeClassifier())], cv=Split(4, repeats=2)).fit(X, np.arange(60) % 3)
    assert (found.out_of_fold_["memory"] == 1 / 3).all()


def test_rows_that_no_fold_tests_do_not_count() -> None:
    cv = TimeSeriesSplit(4)
    found = BlendRegressor(regressors(), cv=cv, method="simplex", fall_back=False).fit(BODY, SUGAR)
    tested = np.concatenate([test for _, test in cv.split(BODY)])
    first = len(SUGAR) - len(tested)
    assert np.isnan(found.out_of_fold_["line"][:first]).all()
    arrays = {}
    for name, model in regressors():
        parts = [clone(model).fit(BODY[a], SUGAR[a]).predict(BODY[b]) for a, b in cv.split(BODY)]
        arrays[name] = np.concatenate(parts)
        np.testing.assert_array_equal(found.out_of_fold_[name][tested], arrays[name])
    by_hand = blend(arrays, SUGAR[first:], metric="rmse", method="simplex", time=tested, fall_back=False)
    assert found.weights_ == by_hand.weights
    # judged in the order of time, too
    assert found.verdict_.rows == by_hand.verdict.rows < len(tested)


def test_time_is_only_looked_back_on_and_rows_may_come_in_any_order() -> None:
    time = np.arange(len(SUGAR))
    ids = np.column_stack([time, BODY])
    found = BlendRegressor([("count", Fits()), *regressors()], cv=Split(4), fall_back=False).fit(ids, SUGAR, time=time)
    counts = found.out_of_fold_["count"]
    # of each row the number of rows learnt from, all of them earlier and the row not among them
    assert np.isnan(counts[:80]).all() and (counts[~np.isnan(counts)] > 0).all()
    assert (counts[~np.isnan(counts)] <= time[~np.isnan(counts)]).all()
    mixed = np.random.default_rng(0).permutation(len(SUGAR))
    again = BlendRegressor([("count", Fits()), *regressors()], cv=Split(4), fall_back=False).fit(ids[mixed], SUGAR[mixed], time=time[mixed])
    np.testing.assert_array_equal(again.out_of_fold_["count"], counts[mixed])
    assert again.weights_ == pytest.approx(found.weights_)


@pytest.mark.parametrize("cv", [3, Split(3), GroupKFold(3)])
def test_groups_stay_whole(cv: Any) -> None:
    groups = np.repeat(np.arange(20), 12)
    X = np.column_stack([groups, X2])
    members = [("memory", Remembers()), ("line", LogisticRegression())]
    found = BlendClassifier(members, cv=cv).fit(X, Y2, groups=groups)
    assert (found.out_of_fold_["memory"] == 0.5).all()


def test_fitted_members_are_taken_as_they_are() -> None:
    half = len(Y2) // 2
    fitted = [(name, model.fit(X2[:half], Y2[:half])) for name, model in classifiers()]
    found = BlendClassifier(fitted, cv="prefit").fit(X2[half:], Y2[half:])
    arrays = {name: model.predict_proba(X2[half:]) for name, model in fitted}
    by_hand = blend(arrays, Y2[half:], provenance="hold_out")
    assert found.weights_ == by_hand.weights
    assert all(found.estimators_[name][0] is dict(fitted)[name] for name in found.estimators_)
    np.testing.assert_allclose(found.predict_proba(X2), by_hand.predict({n: m.predict_proba(X2) for n, m in fitted}), atol=1e-15)
    assert set(found.blend_.provenance.values()) == {"hold_out"}


def test_parameters_of_members_and_dropping_them_in_a_search() -> None:
    model = make_pipeline(StandardScaler(), BlendClassifier(classifiers(), cv=3))
    grid = {
        "blendclassifier__method": ["mean", "greedy"],
        "blendclassifier__line__C": [0.1, 10],
        "blendclassifier__tree": ["drop", DecisionTreeClassifier(max_depth=2)],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(IRIS, WORDS)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 8 and scores.min() > 0.9
    dropped = clone(model).set_params(blendclassifier__tree="drop").fit(IRIS, WORDS)
    assert set(dropped[-1].weights_) == {"line", "normal"}


def test_tables_keep_their_names_and_members_choose_columns() -> None:
    frame = pd.DataFrame(X2, columns=list("abcdef")).assign(city=np.where(Y2, "x", "y"), index=1)
    frame.loc[::3, "city"] = "z"
    numbers = make_pipeline(make_column_transformer((StandardScaler(), list("abc"))), LogisticRegression())
    words = make_pipeline(make_column_transformer((OneHotEncoder(), ["city"])), LogisticRegression())
    found = BlendClassifier([("numbers", numbers), ("words", words)], cv=3).fit(frame, pd.Series(Y2, index=frame.index[::-1]))
    assert found.feature_names_in_.tolist() == list(frame.columns)
    assert found.n_features_in_ == 8
    arrays = {n: cross_val_predict(m, frame, Y2, cv=found_folds(Y2), method="predict_proba") for n, m in [("words", words)]}
    np.testing.assert_array_equal(found.out_of_fold_["words"], arrays["words"])
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[list(frame.columns[::-1])])


def found_folds(y: Any) -> list[Any]:
    return [(fold.train, fold.test) for fold in Split(3).over(y)]


def test_texts_and_sparse_tables_pass_through() -> None:
    texts = ["good fine day" if k else "bad poor night" for k in Y2]
    counts = CountVectorizer().fit_transform(texts)
    members = [
        ("text", make_pipeline(CountVectorizer(), MultinomialNB())),
        ("pairs", make_pipeline(CountVectorizer(ngram_range=(2, 2)), MultinomialNB())),
    ]
    found = BlendClassifier(members, cv=2).fit(texts, Y2)
    assert found.score(texts, Y2) == 1
    plain = BlendClassifier([("text", MultinomialNB()), ("smooth", MultinomialNB(alpha=5))], cv=2).fit(counts, Y2)
    dense = BlendClassifier([("text", MultinomialNB()), ("smooth", MultinomialNB(alpha=5))], cv=2).fit(counts.toarray(), Y2)
    np.testing.assert_allclose(plain.predict_proba(counts), dense.predict_proba(counts.toarray()))


def test_members_without_probabilities_vote() -> None:
    from sklearn.svm import LinearSVC

    found = BlendClassifier([("svm", LinearSVC()), ("normal", GaussianNB())], cv=3, method="mean").fit(IRIS, WORDS)
    assert set(np.unique(found.out_of_fold_["svm"])) == {0.0, 1.0}


def test_segments_are_a_column() -> None:
    city = np.where(X2[:, 0] > 0, 1.0, 0.0)
    X = np.column_stack([X2, city])
    cv = StratifiedKFold(3)
    found = BlendClassifier(classifiers(), method="per_group", segments=6, cv=cv, fall_back=False).fit(X, Y2)
    arrays = {n: cross_val_predict(m, X, Y2, cv=cv, method="predict_proba") for n, m in classifiers()}
    by_hand = blend(arrays, Y2, method="per_group", segments=city, fall_back=False)
    whole = {n: clone(m).fit(X, Y2).predict_proba(X) for n, m in classifiers()}
    np.testing.assert_allclose(found.predict_proba(X), by_hand.predict(whole, segments=city), atol=1e-15)
    with pytest.raises(ParameterError, match="segments: expected a column"):
        BlendClassifier(classifiers(), segments="town").fit(X, Y2)


def test_several_outputs() -> None:
    Y = np.column_stack([SUGAR, -2 * SUGAR])
    one = BlendRegressor([("line", LinearRegression()), ("ridge", Ridge(1.0))], method="mean", cv=3).fit(BODY, SUGAR)
    two = BlendRegressor([("line", LinearRegression()), ("ridge", Ridge(1.0))], method="mean", cv=3).fit(BODY, Y)
    np.testing.assert_allclose(two.predict(BODY), np.column_stack([one.predict(BODY), -2 * one.predict(BODY)]))


def test_sets_are_those_of_the_blend() -> None:
    found = BlendClassifier(classifiers(), cv=3).fit(IRIS, WORDS)
    arrays = {name: models[0].predict_proba(IRIS) for name, models in found.estimators_.items()}
    sets = found.predict_set(IRIS, alpha=0.05)
    np.testing.assert_array_equal(sets, found.blend_.predict_set(arrays, alpha=0.05))
    assert sets[np.arange(150), KIND].mean() >= 0.95


def test_frozen_members_may_know_more_classes() -> None:
    frozen = FrozenEstimator(GaussianNB().fit(IRIS, WORDS))
    few = WORDS != "virginica"
    found = BlendClassifier([("known", frozen), ("tree", DecisionTreeClassifier(random_state=0))], cv=3, method="mean")
    found.fit(IRIS[few], WORDS[few])
    assert found.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert found.predict_proba(IRIS).sum(axis=1) == pytest.approx(np.ones(150))


def test_a_pickle_predicts_the_same() -> None:
    found = BlendRegressor(regressors(), cv=3).fit(BODY, SUGAR)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict(BODY), found.predict(BODY))
    assert again.weights_ == found.weights_ and str(again.verdict_) == str(found.verdict_)


def test_weights_of_rows_reach_members_and_the_loss() -> None:
    weight = np.random.default_rng(0).integers(1, 4, len(Y2)).astype(float)
    cv = StratifiedKFold(3)
    found = BlendClassifier(classifiers(), cv=cv, fall_back=False).fit(X2, Y2, sample_weight=weight)
    arrays = {}
    for name, model in classifiers():
        p = np.empty((len(Y2), 2))
        for a, b in cv.split(X2, Y2):
            p[b] = clone(model).fit(X2[a], Y2[a], sample_weight=weight[a]).predict_proba(X2[b])
        arrays[name] = p
    assert found.weights_ == blend(arrays, Y2, sample_weight=weight, fall_back=False).weights
    with pytest.raises(ParameterError, match=r"member 'near' \(KNeighborsClassifier\) takes none"):
        BlendClassifier([("near", KNeighborsClassifier())]).fit(X2, Y2, sample_weight=weight)


def test_routing_asks_each_member() -> None:
    weight = np.where(Y2, 3.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        members = [("line", LogisticRegression().set_fit_request(sample_weight=True)), ("near", KNeighborsClassifier())]
        found = BlendClassifier(members, method="mean", cv=3).fit(X2, Y2, sample_weight=weight)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            BlendClassifier([("line", LogisticRegression())], cv=3).fit(X2, Y2, sample_weight=weight)
        inner = (
            BlendClassifier(members, cv=GroupKFold(2))
            .set_fit_request(groups=True, sample_weight=True)
            .set_score_request(sample_weight=True)
        )
        search = GridSearchCV(inner, {"method": ["mean"]}, cv=GroupKFold(2), error_score="raise")
        search.fit(X2, Y2, groups=np.arange(240) % 10, sample_weight=weight)
        assert search.best_estimator_.predict(X2).shape == (240,)
    line = LogisticRegression().fit(X2, Y2, sample_weight=weight).predict_proba(X2)
    near = KNeighborsClassifier().fit(X2, Y2).predict_proba(X2)
    np.testing.assert_allclose(found.predict_proba(X2), (line + near) / 2, atol=1e-15)


def _fails(model: Any, sentence: str, kind: type[Exception] = ParameterError, y: Any = Y2, **fit: Any) -> None:
    with pytest.raises(kind, match=sentence) as error:
        model.fit(X2, y, **fit)
    assert isinstance(error.value, ValueError) and "\n" not in str(error.value)


def test_bad_input_gets_one_sentence() -> None:
    blends = BlendClassifier
    _fails(blends([]), r"expected a list of \(name, estimator\)")
    _fails(blends([LogisticRegression()]), r"expected a list of \(name, estimator\)")
    _fails(blends([("a", "drop")]), "all members are dropped")
    _fails(blends([("a", Ridge())]), r"member 'a' \(Ridge\) is not a classifier")
    _fails(blends(metric="rmse"), "rmse does not apply")
    _fails(blends(method="greedyy"), "did you mean 'greedy'")
    _fails(blends(options={"round": 3}), "unknown parameter of greedy 'round'")
    _fails(blends(options={"folds": 3}), "unknown parameter of greedy 'folds'")
    _fails(blends(method="auto", options={"folds": 3}), "method 'auto' takes none, got folds")
    _fails(blends(cv="five"), "expected a number of folds")
    _fails(blends(cv=1), "folds must be a whole number")
    _fails(blends(cv=KFold(3)), "time: goes with cv as a number of folds", time=np.arange(240))
    _fails(blends(), "'colour' is not known to BlendClassifier", colour=np.arange(240))
    _fails(blends(), "all 240 rows have one class, 1", CompatibilityError, y=np.ones(240, int))
    _fails(blends(cv=[(np.arange(200), np.arange(100, 240))]), "fold 1 tests row 100 that it also learns from", CompatibilityError)
    _fails(blends(), "groups: expected one value for each of 240 rows", CompatibilityError, groups=[1, 2])
    _fails(blends(), "all weights are zero", CompatibilityError, sample_weight=np.zeros(240))
    rare = np.where(np.arange(240) == 7, 1, 0)
    _fails(blends(cv=2), "all 120 rows to learn from are of class", CompatibilityError, y=rare)
