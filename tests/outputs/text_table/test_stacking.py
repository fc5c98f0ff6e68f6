from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from modelweave.errors import CompatibilityError
from modelweave.outputs.predictions.learner import About
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.splits import Fold, Split
from modelweave.outputs.text_table.column_types import column_types
from modelweave.outputs.text_table.guard import try_stacking
from modelweave.outputs.text_table.leak import find_leak
from modelweave.outputs.text_table.named import choose
from modelweave.outputs.text_table.recipe import fit_plan
from modelweave.outputs.text_table.stack import Plan, fit_stack
from modelweave.outputs.text_table.stacking import (
    Problem,
    check_folds,
    covered,
    feeders,
    fit_level,
    fit_upper_level,
    predict_nodes,
    with_predictions,
)
from modelweave.outputs.text_table.weights import weigh

from .made import CHEAP, made


class Spy(ClassifierMixin, BaseEstimator):
    """Keeps the row numbers it has learnt from (a planted column) and the table; says the truth of rows it knows."""

    def fit(self, X, y, sample_weight=None):
        self.classes_, self.table_ = np.unique(y), X
        self.known_ = dict(zip(X["row"].tolist(), np.asarray(y).tolist(), strict=True))
        return self

    def predict_proba(self, X):
        p = np.array([self.known_.get(row, 0.5) for row in X["row"].tolist()], float)
        return np.column_stack([1 - p, p])


def study(rows=120, metric="log_loss", **known):
    table, y = made(rows)
    table["row"] = np.arange(rows, dtype=float)
    return table, column_types(table), Problem(y, 2, METRICS[metric], About(**known))


SPIES = {"one": Spy(), "two": Spy()}


def levels(table, types, problem, split, members=SPIES):
    chosen = choose(members, types, classification=True)
    lower = fit_level(chosen, table, types, problem, problem.folds(split))
    return lower, fit_upper_level(chosen, table, types, problem, lower)


@pytest.mark.parametrize("known", [{}, {"groups": np.arange(120) // 7}])
@pytest.mark.parametrize("repeats", [1, 2])
def test_no_model_of_any_level_has_seen_the_row_it_predicts(known, repeats):
    table, types, problem = study(**known)
    lower, upper = levels(table, types, problem, Split(4, repeats, seed=1))
    for node in lower + upper:
        # a model that knows a row says 0 or 1
        np.testing.assert_array_equal(node.found.predictions, 0.5)
        for fold, model in zip(node.found.folds, node.found.models, strict=True):
            seen = set(model.known_)
            assert seen == set(fold.train.tolist()) and not seen & set(fold.test.tolist())
            if "groups" in known:
                assert not set(known["groups"][fold.train]) & set(known["groups"][fold.test])
    # both levels have the same folds
    for below, above in zip(lower[0].found.folds, upper[0].found.folds, strict=True):
        np.testing.assert_array_equal(below.train, above.train)
        np.testing.assert_array_equal(below.test, above.test)


def test_the_upper_level_reads_the_columns_and_out_of_fold_predictions():
    table, types, problem = study()
    lower, upper = levels(table, types, problem, Split(4))
    for model, fold in zip(upper[0].found.models, upper[0].found.folds, strict=True):
        assert list(model.table_.columns) == [*table.columns, "prediction of one", "prediction of two"]
        pd.testing.assert_frame_equal(model.table_[table.columns].reset_index(drop=True), table.iloc[fold.train].reset_index(drop=True))
        np.testing.assert_array_equal(model.table_["prediction of one"], lower[0].found.predictions[fold.train, 1])
    assert upper[0].inputs == ("one", "two")
    wrong = fit_upper_level(choose(SPIES, types, classification=True), table, types, problem, lower, feed="in_sample")
    fed = np.concatenate([model.table_["prediction of one"] for model in wrong[0].found.models])
    assert not (fed == 0.5).any()


def test_in_time_rows_that_no_model_predicts_do_not_teach_the_upper_level():
    moments = np.random.default_rng(0).permutation(120)
    table, types, problem = study(time=moments)
    lower, upper = levels(table, types, problem, Split(4))
    there = covered(lower[0].found.predictions)
    assert 0 < there.sum() < 120
    assert len(upper[0].found.folds) == 3
    for fold in upper[0].found.folds:
        assert there[fold.train].all() and moments[fold.train].max() < moments[fold.test].min()
    assert covered(upper[0].found.predictions).sum() < there.sum()
    np.testing.assert_array_equal(upper[0].found.predictions[covered(upper[0].found.predictions)], 0.5)
    ensemble = weigh(lower + upper, problem, Split(4))
    assert sum(ensemble.weights.values()) == pytest.approx(1)


def test_folds_that_share_a_row_are_refused():
    with pytest.raises(CompatibilityError, match="row 3 is both learnt from and predicted"):
        check_folds([Fold(0, np.arange(3), np.array([4])), Fold(0, np.arange(4), np.array([3]))])


def test_new_rows_get_the_mean_of_all_models_on_both_levels():
    table, types, problem = study()
    members = choose(["linear", "extra_trees"], types, classification=True, options=CHEAP)
    lower = fit_level(members, table, types, problem, problem.folds(Split(3)))
    upper = fit_upper_level(members, table, types, problem, lower)
    new, _ = made(30, seed=5)
    new["row"] = -1.0
    found = predict_nodes(lower + upper, new, problem.labels)
    below = {node.name: sum(model.predict_proba(new) for model in node.found.models) / 3 for node in lower}
    for node in lower:
        np.testing.assert_allclose(found[node.name], below[node.name])
    extended, _ = with_predictions(new, below)
    for node in upper:
        np.testing.assert_allclose(found[node.name], sum(model.predict_proba(extended) for model in node.found.models) / 3)
    only = predict_nodes(lower + upper, new, problem.labels, ["linear"])
    assert list(only) == ["linear"]


def test_columns_of_predictions():
    table = pd.DataFrame({"a": [1, 2]})
    p = {"x": np.array([[0.2, 0.8], [0.6, 0.4]]), "y": np.array([[0.1, 0.2, 0.7]] * 2), "z": np.array([5.0, 6.0])}
    found, names = with_predictions(table, p)
    assert names == ["prediction of x", *(f"prediction of y, class {k}" for k in range(3)), "prediction of z"]
    np.testing.assert_array_equal(found.to_numpy(), [[1, 0.8, 0.1, 0.2, 0.7, 5], [2, 0.4, 0.1, 0.2, 0.7, 6]])


def test_the_best_of_each_family_feed_the_next_level():
    table, types, problem = study()
    node = fit_level(choose({"spy": Spy()}, types, classification=True), table, types, problem, problem.folds(Split(2)))[0]
    nodes = [replace(node, name=name, family=name[0], score=score) for name, score in (("a1", 0.5), ("a2", 0.3), ("a3", 0.4), ("b1", 0.9))]
    loss, gain = METRICS["log_loss"], METRICS["roc_auc"]
    assert [n.name for n in feeders(nodes, loss, 999)] == ["a2", "b1"]
    assert [n.name for n in feeders(nodes, loss, 1000)] == ["a2", "a3", "b1"]
    assert [n.name for n in feeders(nodes, gain, 999)] == ["a1", "b1"]
    nodes[1] = replace(nodes[1], score=float("nan"))
    assert [n.name for n in feeders(nodes, loss, 999)] == ["a3", "b1"]


def test_a_copy_changes_nothing_and_of_copies_the_one_is_left():
    table, types, problem = study()
    members = choose(["linear", "extra_trees"], types, classification=True, options=CHEAP)
    nodes = fit_level(members, table, types, problem, problem.folds(Split(3)))
    plain, copied = weigh(nodes, problem, Split(3)), weigh([*nodes, replace(nodes[0], name="copy")], problem, Split(3))
    p = {node.name: node.found.predictions for node in nodes}
    np.testing.assert_array_equal(copied.predict({**p, "copy": p["linear"]}), plain.predict(p))
    assert copied.weights["copy"] == 0
    only = weigh([nodes[0], replace(nodes[0], name="copy")], problem, Split(3))
    np.testing.assert_array_equal(only.predict({"linear": p["linear"], "copy": p["linear"]}), p["linear"])
    assert min(plain.weights.values()) >= 0 and sum(plain.weights.values()) == pytest.approx(1)


def plan(types, members, options=None, **more):
    chosen = choose(members, types, classification=True, options=options or CHEAP)
    return Plan(chosen, chosen, types, Split(3), **more)


def test_predictions_of_rows_learnt_from_are_flagged():
    table, y = made(300, seed=4)
    types, problem = column_types(table), Problem(y, 2, METRICS["roc_auc"], About())
    # trees that know every row by heart
    trees = plan(types, ["extra_trees", "linear"], {"extra_trees": {"trees": 30, "least": 1}})
    wrong = try_stacking(trees, table, problem, feed="in_sample")
    assert not wrong.kept and "extra_trees" in [leak.name for leak in wrong.leaks if leak.flagged] and "flatter" in wrong.reason
    right = try_stacking(trees, table, problem)
    assert not any(leak.flagged for leak in right.leaks)
    honest, bad = fit_stack(trees, table, problem), fit_stack(trees, table, problem, feed="in_sample")
    assert max(n.score for n in bad.nodes if n.level == 2) > max(n.score for n in honest.nodes if n.level == 2) + 0.02


class Stubborn(ClassifierMixin, BaseEstimator):
    """Good on the columns; on predictions of a lower level, sure of the wrong class on new rows."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.rows_ = X["row"].max()
        self.upper_ = any(name.startswith("prediction") for name in X.columns)
        return self

    def predict_proba(self, X):
        p = np.where(X["truth"] == (1 if not self.upper_ or X["row"].max() < 100 else 0), 0.7, 0.3)
        if self.upper_ and X["row"].max() < 100:
            p = np.where(p > 0.5, 0.99, 0.01)
        return np.column_stack([1 - p, p])


def test_a_second_level_that_is_worse_on_held_out_rows_is_dropped():
    table, types, problem = study()
    table["truth"] = problem.y.astype(float)
    # held-out rows have numbers of 100 and more
    held = problem.holdout(Split(3)).test
    row = np.empty(120)
    row[held], row[np.setdiff1d(np.arange(120), held)] = 100 + np.arange(len(held)), np.arange(120 - len(held))
    table["row"] = row
    found = fit_plan(plan(types, {"s": Stubborn()}), table, problem)
    guard = found.guard
    assert guard is not None and not guard.kept and guard.stacked > guard.unstacked == pytest.approx(-np.log(0.7))
    assert {node.level for node in found.nodes} == {1}
    forced = fit_plan(plan(types, {"s": Stubborn()}, guard=False), table, problem)
    assert forced.guard is None and {node.level for node in forced.nodes} == {1, 2}


def test_a_trial_that_is_not_possible_says_so():
    table, types, problem = study(groups=np.repeat([0, 1, 2], 40))
    guard = try_stacking(plan(types, SPIES), table, problem)
    assert not guard.kept and "3 folds need at least as many groups, got 2" in guard.reason


@pytest.mark.parametrize("seed", range(5))
def test_leaks_by_hand_and_by_chance(seed):
    random = np.random.default_rng(seed)
    p = random.random((2, 500))
    y = (random.random((2, 500)) < p).astype(int)
    assert not find_leak("honest", p[0], y[0], p[1], y[1]).flagged
    leak = find_leak("sees", np.where(y[0], 0.5 + p[0] / 2, p[0] / 2), y[0], p[1], y[1])
    assert leak.flagged
    before, after = 2 * (np.where(y[0], 0.5 + p[0] / 2, p[0] / 2) - y[0]) ** 2, 2 * (p[1] - y[1]) ** 2
    assert leak.gap == pytest.approx(after.mean() - before.mean())
    assert leak.error == pytest.approx(np.sqrt(before.var(ddof=1) / 500 + after.var(ddof=1) / 500))


def test_leaks_of_numbers_and_of_rows_without_predictions():
    y = np.arange(4.0)
    leak = find_leak("x", np.array([np.nan, 1, 2, 4.0]), y, y + np.array([1, 1, 1, 2]), y)
    assert leak.gap == pytest.approx(7 / 4 - 1 / 3)
    with pytest.raises(CompatibilityError, match="covers 1 and 4 rows"):
        find_leak("x", np.array([np.nan, np.nan, np.nan, 4.0]), y, y, y)
