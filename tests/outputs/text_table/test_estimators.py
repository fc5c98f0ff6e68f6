import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.splits import Split
from modelweave.outputs.text_table.estimators import TextTableClassifier, TextTableRegressor

from .made import CHEAP, Spy, made

TABLE, Y = made(160)
NEW, Y_NEW = made(150, seed=9)
NAMES = np.array(["no", "yes"])
FEW = ("gbm_tabular", "gbm", "linear", "network")


@pytest.fixture(scope="module")
def stack():
    return TextTableClassifier(FEW, folds=3, options=CHEAP).fit(TABLE, NAMES[Y])


@pytest.mark.parametrize("mode", ["single", "weighted", "stack"])
@pytest.mark.parametrize("refit_full", [False, True])
def test_each_mode_predicts_labels(mode, refit_full):
    model = TextTableClassifier(FEW[:3], mode=mode, folds=3, options=CHEAP, refit_full=refit_full, guard=False).fit(TABLE, NAMES[Y])
    p = model.predict_proba(NEW)
    assert p.shape == (150, 2) and roc_auc_score(Y_NEW, p[:, 1]) > 0.7
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(NEW), NAMES[(p[:, 1] > 0.5).astype(int)])
    used = [models for name, models in model.estimators_.items() if model.weights_[name] > 0]
    bags = {"single": 1, "weighted": 1, "stack": 1 if refit_full else 3}[mode]
    assert {len(models) for models in used} == {bags}
    assert sum(model.weights_.values()) == pytest.approx(1) and min(model.weights_.values()) >= 0


def test_single_is_the_best_on_the_hold_out_fitted_on_all_rows():
    from modelweave.outputs.text_table.members import LinearModel

    model = TextTableClassifier(["gbm_tabular", "linear"], mode="single", options=CHEAP).fit(TABLE, Y)
    fold = Split(5).holdout(Y)
    by_hand = LinearModel(model.column_types_).fit(TABLE.iloc[fold.train], Y[fold.train]).predict_proba(TABLE.iloc[fold.test])
    assert model.board_[0]["member"] == "linear"
    assert model.board_[0]["score"] == pytest.approx(-np.log(by_hand[np.arange(len(fold.test)), Y[fold.test]]).mean())
    np.testing.assert_array_equal(model.predict_proba(NEW), LinearModel(model.column_types_).fit(TABLE, Y).predict_proba(NEW))


def test_the_ensemble_is_its_weights_times_its_members():
    model = TextTableClassifier(FEW[:3], folds=3, options=CHEAP, calibrate=False, guard=False).fit(TABLE, Y)
    members = model.predict_members(NEW)
    assert set(members) == set(model.estimators_) == set(model.weights_)
    by_hand = sum(weight * members[name] for name, weight in model.weights_.items())
    np.testing.assert_allclose(model.predict_proba(NEW), by_hand)


def test_calibration_keeps_the_order_and_lowers_the_loss_it_is_fitted_to():
    plain = TextTableClassifier(FEW[:3], folds=3, options=CHEAP, calibrate=False, guard=False).fit(TABLE, Y)
    warm = TextTableClassifier(FEW[:3], folds=3, options=CHEAP, guard=False).fit(TABLE, Y)
    assert plain.weights_ == warm.weights_
    a, b = plain.predict_proba(NEW)[:, 1], warm.predict_proba(NEW)[:, 1]
    assert not np.allclose(a, b) and np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1] > 0.9999
    scores = [next(row["score"] for row in model.board_ if row["member"] == "weighted ensemble") for model in (plain, warm)]
    assert scores[1] <= scores[0] + 1e-9


def test_the_leaderboard(stack):
    board = stack.leaderboard()
    assert list(board.columns) == ["member", "level", "score", "weight", "fit seconds", "predict seconds"]
    assert board["score"].is_monotonic_increasing
    assert {"weighted ensemble", *FEW} <= set(board["member"])
    assert (board["fit seconds"] > 0).all() and (board["predict seconds"] > 0).all()
    assert stack.guard_ is not None and stack.guard_.reason.startswith("stacking") and "log_loss" in stack.guard_.reason
    assert (board["level"].max() == 3) == stack.guard_.kept


def test_it_is_kept_by_pickle_and_the_same_again(stack):
    p = stack.predict_proba(NEW)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stack)).predict_proba(NEW), p)
    np.testing.assert_array_equal(clone(stack).fit(TABLE, NAMES[Y]).predict_proba(NEW), p)
    # neither the rows of a request nor the index of a table matter
    np.testing.assert_allclose(stack.predict_proba(NEW.iloc[::-1])[::-1], p, atol=1e-6)


def test_strange_values_are_taken(stack):
    strange = pd.DataFrame({"size": [None, -1e9], "shop": ["west", None], "said": [None, "never heard"]})
    np.testing.assert_allclose(stack.predict_proba(strange).sum(axis=1), 1, rtol=1e-6)


def test_several_classes():
    y = np.where(TABLE["size"].fillna(0) > 0.8, 2, Y)
    model = TextTableClassifier(["linear", "extra_trees"], folds=3, options=CHEAP, guard=False).fit(TABLE, y)
    p = model.predict_proba(NEW)
    assert p.shape == (150, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    expected = np.where(NEW["size"].fillna(0) > 0.8, 2, Y_NEW)
    assert (model.predict(NEW) == expected).mean() > 0.6


@pytest.mark.parametrize("mode", ["single", "weighted", "stack"])
def test_numbers(mode):
    y = 3 * Y + TABLE["size"].fillna(0).to_numpy()
    model = TextTableRegressor(["linear", "gbm", "network"], mode=mode, folds=3, options=CHEAP).fit(TABLE, y)
    assert model.score(NEW, 3 * Y_NEW + NEW["size"].fillna(0)) > 0.3
    assert model.predict(NEW).shape == (150,)


def test_groups_and_time_are_kept_in_every_split():
    groups, moments = np.arange(160) // 5, np.random.default_rng(0).permutation(160)
    spies = {"one": Spy(), "two": Spy()}
    table = TABLE.assign(row=np.arange(160.0))
    for mode in ("weighted", "stack"):
        model = TextTableClassifier(spies, mode=mode, folds=4, guard=False).fit(table, Y, groups=groups)
        for seen in rows_of(model):
            # whole groups only, and in a stack every row is out of one fold
            assert len(seen) in (160, 120) and all(set(np.flatnonzero(groups == groups[row])) <= seen for row in seen)
        model = TextTableClassifier(spies, mode=mode, folds=4, guard=False).fit(table, Y, time=moments)
        for seen in rows_of(model)[: 1 if mode == "weighted" else 4]:
            assert moments[list(seen)].max() == len(seen) - 1
        np.testing.assert_allclose(model.predict_proba(NEW.assign(row=-1.0)).sum(axis=1), 1, rtol=1e-6)


def rows_of(model):
    """The rows that each model has learnt from, level by level."""
    return [set(map(int, one.known_)) for models in model.estimators_.values() for one in models]


def test_weights_of_rows_reach_members_and_scores():
    doubled, y = pd.concat([TABLE, TABLE], ignore_index=True), np.r_[Y, 1 - Y]
    weight = np.r_[np.ones(160), np.full(160, 1e-9)]
    model = TextTableClassifier(["linear", "gbm"], folds=3, options=CHEAP, guard=False).fit(doubled, y, sample_weight=weight)
    assert roc_auc_score(Y_NEW, model.predict_proba(NEW)[:, 1]) > 0.7
    assert model.board_[0]["score"] < 0.68


def test_a_pipeline_and_a_grid():
    pipeline = Pipeline(
        [
            ("cut", FunctionTransformer(lambda table: table.assign(said=table["said"].str.lower()))),
            ("model", TextTableClassifier(["linear"], mode="single")),
        ]
    )
    grid = GridSearchCV(pipeline, {"model__options": [{"linear": {"C": C}} for C in (1e-6, 1.0)]}, cv=3, scoring="roc_auc").fit(TABLE, Y)
    assert grid.best_params_ == {"model__options": {"linear": {"C": 1.0}}}
    assert grid.predict(NEW).shape == (150,)


def test_estimators_of_ones_own_on_numbers():
    random = np.random.default_rng(0)
    X = random.standard_normal((90, 3))
    y = (X[:, 0] + 0.3 * random.standard_normal(90) > 0).astype(int)
    own = {"logistic": Pipeline([("scale", StandardScaler()), ("fit", LogisticRegression())])}
    model = TextTableClassifier(own, mode="weighted", folds=3, calibrate=False).fit(X, y)
    fold = Split(3).holdout(y)
    by_hand = clone(own["logistic"]).fit(X[fold.train], y[fold.train])
    np.testing.assert_allclose(model.predict_proba(X), by_hand.predict_proba(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "stacked"}, "did you mean 'stack'"),
        ({"metric": "auc"}, "unknown metric 'auc'"),
        ({"metric": "rmse"}, "rmse does not apply to binary"),
        ({"members": ["trees"]}, "unknown member 'trees'"),
        ({"column_types": {"size": "number"}}, "unknown kind 'number'"),
        ({"calibrate": "yes"}, "calibrate: expected True"),
        ({"folds": 1}, "folds must be a whole number of at least 2"),
        ({"fusion": "middle"}, "fusion: expected late"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ParameterError, match=message):
        TextTableClassifier(**{"members": ["network"], **options}).fit(TABLE, Y)


@pytest.mark.parametrize(
    ("X", "y", "more", "message"),
    [
        (TABLE, np.zeros(160), {}, "one class"),
        (TABLE, np.r_[Y[:-1], np.nan], {}, "y contains NaN"),
        (TABLE, [None, *NAMES[Y[1:]]], {}, "row 0 is missing"),
        (TABLE.iloc[:1], [1], {}, "got 1 sample"),
        (TABLE, Y[:-1], {}, "inconsistent numbers of samples"),
        (TABLE, Y, {"sample_weight": np.zeros(160)}, "all weights are zero"),
        (TABLE, Y, {"groups": [1, 2]}, "groups: expected one value for each of 160 rows"),
        (TABLE.assign(size=np.inf), Y, {}, "'size' is infinite in row 0"),
    ],
)
def test_wrong_tables(X, y, more, message):
    with pytest.raises(ValueError, match=message):
        TextTableClassifier(["linear"]).fit(X, y, **more)


def test_other_columns_than_learnt_from(stack):
    with pytest.raises(ValueError, match="feature names"):
        stack.predict(NEW.rename(columns={"said": "told"}))
    with pytest.raises(CompatibilityError, match="expected numbers"):
        TextTableRegressor(["linear"]).fit(TABLE, NAMES[Y])
