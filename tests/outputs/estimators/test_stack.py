"""Stacks, held to scikit-learn's stacking and to levels built by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.estimators.blend import BlendClassifier
from modelweave.outputs.estimators.stack import StackClassifier, StackRegressor
from modelweave.outputs.predictions.blend import blend
from modelweave.outputs.splits import Split

from .members import Remembers

X3, Y3 = load_iris(return_X_y=True)
X3 = StandardScaler().fit_transform(X3)
WORDS = np.array(["setosa", "versicolor", "virginica"])[Y3]
X2, Y2 = make_classification(240, 6, n_informative=3, flip_y=0.1, random_state=3)
BODY, SUGAR = load_diabetes(return_X_y=True)


def classifiers() -> list[tuple[str, Any]]:
    return [("normal", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)), ("near", KNeighborsClassifier(7))]


def regressors() -> list[tuple[str, Any]]:
    return [("line", Ridge(0.1)), ("tree", DecisionTreeRegressor(max_depth=4, random_state=0)), ("near", KNeighborsRegressor(9))]


@pytest.mark.parametrize("passthrough", [False, True])
@pytest.mark.parametrize(("X", "y"), [(X3, WORDS), (X2, Y2)])
def test_a_final_estimator_is_scikit_learns_stack(X: Any, y: Any, passthrough: bool) -> None:
    cv = StratifiedKFold(4, shuffle=True, random_state=5)
    theirs = StackingClassifier(classifiers(), LogisticRegression(), cv=cv, passthrough=passthrough).fit(X, y)
    ours = StackClassifier(classifiers(), LogisticRegression(), cv=cv, passthrough=passthrough, guard=None).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-15)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()


@pytest.mark.parametrize("passthrough", [False, True])
def test_the_same_for_numbers(passthrough: bool) -> None:
    theirs = StackingRegressor(regressors(), Ridge(), cv=KFold(4), passthrough=passthrough).fit(BODY, SUGAR)
    ours = StackRegressor(regressors(), Ridge(), cv=KFold(4), passthrough=passthrough, guard=None).fit(BODY, SUGAR)
    np.testing.assert_array_equal(ours.predict(BODY), theirs.predict(BODY))


def test_the_same_for_members_fitted_before_and_for_sparse_tables() -> None:
    fitted = [(name, model.fit(X2[:120], Y2[:120])) for name, model in classifiers()]
    theirs = StackingClassifier(fitted, LogisticRegression(), cv="prefit").fit(X2[120:], Y2[120:])
    ours = StackClassifier(fitted, LogisticRegression(), cv="prefit", passthrough=False, guard=None).fit(X2[120:], Y2[120:])
    np.testing.assert_allclose(ours.predict_proba(X2), theirs.predict_proba(X2), rtol=0, atol=1e-15)
    counts = sparse.random(120, 30, 0.2, format="csr", random_state=0)
    named = [("a", MultinomialNB()), ("b", LogisticRegression())]
    folds = StratifiedKFold(3)
    theirs = StackingClassifier(named, LogisticRegression(), cv=folds, passthrough=True).fit(counts, Y2[:120])
    ours = StackClassifier(named, LogisticRegression(), cv=folds, guard=None).fit(counts, Y2[:120])
    np.testing.assert_allclose(ours.predict_proba(counts), theirs.predict_proba(counts), rtol=0, atol=1e-15)


def test_weights_of_rows_reach_all_levels() -> None:
    weight = np.random.default_rng(0).integers(1, 4, len(Y2)).astype(float)
    named = classifiers()[:2]
    cv = StratifiedKFold(3)
    theirs = StackingClassifier(named, LogisticRegression(), cv=cv).fit(X2, Y2, sample_weight=weight)
    ours = StackClassifier(named, LogisticRegression(), cv=cv, passthrough=False, guard=None).fit(X2, Y2, sample_weight=weight)
    np.testing.assert_allclose(ours.predict_proba(X2), theirs.predict_proba(X2), rtol=0, atol=1e-15)


def test_routing_reaches_each_level() -> None:
    weight = np.where(Y2, 3.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        final = LogisticRegression().set_fit_request(sample_weight=True)
        found = StackClassifier(classifiers()[2:], final, cv=StratifiedKFold(3), passthrough=False, guard=None)
        found.fit(X2, Y2, sample_weight=weight)
    below = cross_val_predict(KNeighborsClassifier(7), X2, Y2, cv=StratifiedKFold(3), method="predict_proba")
    by_hand = LogisticRegression().fit(below[:, 1:], Y2, sample_weight=weight)
    new = KNeighborsClassifier(7).fit(X2, Y2).predict_proba(X2)[:, 1:]
    np.testing.assert_allclose(found.predict_proba(X2), by_hand.predict_proba(new), atol=1e-12)


def test_two_levels_are_a_stack_in_a_stack_on_the_same_folds() -> None:
    inner = StackingRegressor(regressors(), Ridge(), cv=KFold(4))
    theirs = StackingRegressor(regressors(), inner, cv=KFold(4)).fit(BODY, SUGAR)
    ours = StackRegressor(regressors(), Ridge(), levels=2, cv=KFold(4), passthrough=False, guard=None).fit(BODY, SUGAR)
    np.testing.assert_allclose(ours.predict(BODY), theirs.predict(BODY), rtol=1e-12)
    assert ours.levels_ == 3


@pytest.mark.parametrize("refit", [True, False])
def test_levels_built_by_hand(refit: bool) -> None:
    cv = KFold(3)
    found = StackRegressor(regressors(), cv=cv, guard=None, method="simplex", fall_back=False, refit=refit).fit(BODY, SUGAR)
    first = {name: cross_val_predict(model, BODY, SUGAR, cv=cv) for name, model in regressors()}
    table = np.column_stack([*first.values(), BODY])
    second = {name: cross_val_predict(model, table, SUGAR, cv=cv) for name, model in regressors()}
    arrays = first | {f"{name}@2": p for name, p in second.items()}
    assert list(found.out_of_fold_) == list(arrays)
    for name, p in arrays.items():
        np.testing.assert_array_equal(found.out_of_fold_[name], p)
    by_hand = blend(arrays, SUGAR, metric="rmse", method="simplex", fall_back=False)
    assert found.weights_ == by_hand.weights

    def predict(model: Any, X: Any, new: Any) -> Any:
        parts = [np.arange(len(X))] if refit else [train for train, _ in cv.split(X)]
        return np.mean([clone(model).fit(X[rows], SUGAR[rows]).predict(new) for rows in parts], axis=0)

    new = BODY[:50] + 0.01
    below = {name: predict(model, BODY, new) for name, model in regressors()}
    wide = np.column_stack([*below.values(), new])
    above = {f"{name}@2": predict(model, table, wide) for name, model in regressors()}
    np.testing.assert_allclose(found.predict(new), by_hand.predict(below | above), rtol=1e-12)


def test_no_level_sees_a_row_it_predicts() -> None:
    ids = np.column_stack([np.arange(90.0), np.arange(90.0) % 7])
    members = [("memory", Remembers()), ("tree", DecisionTreeClassifier(max_depth=2, random_state=0))]
    found = StackClassifier(members, stackers=[("copy", KNeighborsClassifier(1))], cv=3, repeats=2, guard=None).fit(ids, np.arange(90) % 3)
    assert (found.out_of_fold_["memory"] == 1 / 3).all()


def test_time_leaves_each_level_fewer_rows() -> None:
    time = np.arange(len(SUGAR))
    found = StackRegressor(regressors(), cv=5, guard=None).fit(BODY, SUGAR, time=time)
    first, second = np.isnan(found.out_of_fold_["line"]), np.isnan(found.out_of_fold_["line@2"])
    folds = Split(5).over(SUGAR, time=time)
    assert np.flatnonzero(~first).tolist() == np.concatenate([fold.test for fold in folds]).tolist()
    assert np.flatnonzero(~second).tolist() == np.concatenate([fold.test for fold in folds[1:]]).tolist()
    assert found.verdict_.judged and found.predict(BODY).shape == (442,)
    with pytest.raises(CompatibilityError, match="level 3: no fold"):
        StackRegressor(regressors(), levels=3, cv=2, guard=None).fit(BODY, SUGAR, time=time)


def test_equal_members_make_the_member() -> None:
    same = [(name, DecisionTreeRegressor(max_depth=3, random_state=0)) for name in "abc"]
    found = StackRegressor(same, levels=0).fit(BODY, SUGAR)
    np.testing.assert_array_equal(found.predict(BODY), clone(same[0][1]).fit(BODY, SUGAR).predict(BODY))


def test_without_levels_it_is_the_blend() -> None:
    plain = BlendClassifier(classifiers(), cv=4).fit(X2, Y2)
    found = StackClassifier(classifiers(), levels=0, cv=4).fit(X2, Y2)
    assert found.weights_ == plain.weights_ and not found.guard_.judged and not found.guard_.stacks
    np.testing.assert_array_equal(found.predict_proba(X2), plain.predict_proba(X2))


def test_tables_keep_their_columns_and_predictions_get_names() -> None:
    frame = pd.DataFrame(X3, columns=list("abcd"), index=range(150, 0, -1))
    low = make_pipeline(make_column_transformer((StandardScaler(), ["a", "b"])), LogisticRegression())
    names = [f"member_low_{word}" for word in ("setosa", "versicolor", "virginica")]
    high = make_pipeline(make_column_transformer(("passthrough", [*names, "c"])), LogisticRegression())
    cv = StratifiedKFold(3)
    found = StackClassifier([("low", low)], stackers=[("high", high)], cv=cv, guard=None, method="mean").fit(frame, WORDS)
    first = cross_val_predict(low, frame, WORDS, cv=cv, method="predict_proba")
    by_hand = cross_val_predict(LogisticRegression(), np.column_stack([first, X3[:, 2]]), WORDS, cv=cv, method="predict_proba")
    np.testing.assert_allclose(found.out_of_fold_["high@2"], by_hand, atol=1e-12)
    assert found.predict(frame).shape == (150,)
    numbered = frame.set_axis(range(4), axis=1)
    again = StackClassifier(classifiers(), cv=cv, guard=None).fit(numbered, WORDS)
    plain = StackClassifier(classifiers(), cv=cv, guard=None).fit(X3, WORDS)
    np.testing.assert_allclose(again.predict_proba(numbered), plain.predict_proba(X3), atol=1e-12)


def test_texts_need_no_passthrough() -> None:
    texts = ["good fine day" if k else "bad poor night" for k in Y2]
    members = [("text", make_pipeline(CountVectorizer(), MultinomialNB()))]
    found = StackClassifier(members, LogisticRegression(), cv=2, passthrough=False).fit(texts, Y2)
    assert found.score(texts, Y2) == 1
    with pytest.raises(CompatibilityError, match="use passthrough=False"):
        StackClassifier(members, LogisticRegression(), cv=2, guard=None).fit(texts, Y2)


def test_parameters_of_members_in_a_search() -> None:
    model = StackClassifier(classifiers(), LogisticRegression(), cv=3, guard=None)
    grid = {"near__n_neighbors": [3, 9], "tree": ["drop"], "final_estimator__C": [0.1, 1], "passthrough": [True, False]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X2, Y2)
    assert len(search.cv_results_["params"]) == 8
    assert list(search.best_estimator_.estimators_) == ["final@2"] or "normal" in search.best_estimator_.estimators_


def test_bad_input_gets_one_sentence() -> None:
    def fails(model: Any, sentence: str) -> None:
        with pytest.raises(ParameterError, match=sentence):
            model.fit(X2, Y2)

    fails(StackClassifier(levels=-1), "levels: expected a whole number of at least 0")
    fails(StackClassifier(None, LogisticRegression(), levels=0), "at least 1 with a final estimator")
    fails(StackClassifier(guard="always"), "unknown guard 'always'")
    fails(StackClassifier(final_estimator=Ridge()), r"final_estimator: Ridge is not a classifier")
    fails(StackClassifier(stackers=[]), "stackers: expected a list")
    fails(StackClassifier(cv=KFold(3), repeats=2), r"say Split\(folds, repeats=2\)")
    with pytest.raises(ParameterError, match="rmse, mse, mae, r2"):
        StackRegressor(metric="log_loss").fit(BODY, SUGAR)
