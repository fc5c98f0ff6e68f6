"""Levels and what they learn from: which rows, which columns, which members; and what happens where there are too few."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from modelweave import BlendClassifier
from modelweave.errors import CompatibilityError
from modelweave.outputs.estimators.cross_validation import weight_split
from modelweave.outputs.estimators.table import Table, TowerMember, best_of_families
from modelweave.outputs.estimators.tower import TowerPlan, blend_covered, column_names, finish, fit_level, fit_levels, join, spoken
from modelweave.outputs.predictions.learner import About
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.predictions.pool import covered
from modelweave.outputs.splits import Split

from ..text_table.made import Spy, made

SPIES = (TowerMember("one", Spy(), family="a"), TowerMember("two", Spy(), family="b"))
GREEDY = {"method": "greedy", "preset": "autogluon", "metric": "log_loss"}


def spied(split: Split = Split(4), rows: int = 120, **known):  # noqa: B008
    table, y = made(rows)
    table["row"] = np.arange(rows, dtype=float)
    folds = split.over(y, groups=known.get("groups"), time=known.get("time"), classes=True)
    return Table(table, y, np.arange(2), tuple(folds), About(**known), split)


def plan(members=SPIES, levels=2, **more):
    return TowerPlan((members,) * levels, GREEDY, passthrough=True, refit=False, **more)


@pytest.mark.parametrize("known", [{}, {"groups": np.arange(120) // 7}])
@pytest.mark.parametrize("repeats", [1, 2])
def test_no_model_of_any_level_has_seen_the_row_it_predicts(known, repeats):
    table = spied(Split(4, repeats, seed=1), **known)
    lower, upper = fit_levels(plan(), table, 2)
    for level in (lower, upper):
        for one in level.found.values():
            # a model that knows a row says 0 or 1
            np.testing.assert_array_equal(one.predictions, 0.5)
            for fold, model in zip(one.folds, one.models, strict=True):
                seen = set(model.known_)
                assert seen == set(fold.train.tolist()) and not seen & set(fold.test.tolist())
                if "groups" in known:
                    assert not set(known["groups"][fold.train]) & set(known["groups"][fold.test])
    # both levels have the same folds
    for below, above in zip(lower.found["one"].folds, upper.found["one"].folds, strict=True):
        np.testing.assert_array_equal(below.train, above.train)
        np.testing.assert_array_equal(below.test, above.test)


def test_the_upper_level_reads_the_columns_and_out_of_fold_predictions():
    table = spied()
    lower, upper = fit_levels(plan(), table, 2)
    own = list(table.X.columns)
    for model, fold in zip(upper.found["one"].models, upper.found["one"].folds, strict=True):
        assert list(model.table_.columns) == ["member_one", "member_two", *own]
        pd.testing.assert_frame_equal(model.table_[own], table.X.iloc[fold.train])
        np.testing.assert_array_equal(model.table_["member_one"], lower.found["one"].predictions[fold.train, 1])
    seen = {"one": lower.found["one"].models[0].predict_proba(table.X)}
    wrong = fit_level(plan(), SPIES, table, lower, seen)
    model = wrong.found["one"].models[0]
    assert list(model.table_.columns) == ["member_one", *own]
    np.testing.assert_array_equal(model.table_["member_one"], seen["one"][model.table_.index, 1])


def test_in_time_rows_that_no_model_predicts_do_not_teach_the_upper_level():
    moments = np.random.default_rng(0).permutation(120)
    table = spied(time=moments)
    levels = fit_levels(plan(), table, 2)
    below, above = (level.found["one"].predictions for level in levels)
    there = covered(below)
    assert 0 < there.sum() < 120
    folds = levels[1].found["one"].folds
    assert len(folds) == 3
    for fold in folds:
        assert there[fold.train].all() and moments[fold.train].max() < moments[fold.test].min()
    assert covered(above).sum() < there.sum()
    np.testing.assert_array_equal(above[covered(above)], 0.5)
    found = blend_covered(spoken(levels), table, plan())
    assert sum(found.weights.values()) == pytest.approx(1)


def test_an_upper_level_without_a_fold_is_refused():
    table = spied(Split(2), time=np.repeat([0, 1, 2], 40))
    assert len(fit_levels(plan(levels=2), table, 2)[1].found["one"].folds) == 1
    with pytest.raises(CompatibilityError, match="level 3: no fold has rows that level 2 predicts"):
        fit_levels(plan(levels=3), table, 3)


def test_the_best_of_each_family_feed_the_next_level():
    members = [TowerMember(name, None, family=name[0]) for name in ("a1", "a2", "a3", "b1")]
    losses = {"a1": 0.5, "a2": 0.3, "a3": 0.4, "b1": 0.9}
    assert best_of_families(members, losses, 999) == ("a2", "b1")
    assert best_of_families(members, losses, 1000) == ("a2", "a3", "b1")
    assert best_of_families(members, losses | {"a2": float("nan")}, 999) == ("a3", "b1")


def test_only_members_that_feed_are_read_and_kept():
    class Says(Spy):
        """Sure of the class that is rarer."""

        def predict_proba(self, X):
            return np.tile([0.9, 0.1], (len(X), 1))

    table = spied()
    assert table.y.mean() > 0.5
    members = (TowerMember("bad", Says(), family="a"), TowerMember("good", Spy(), family="a"))
    levels = fit_levels(plan(members, feeding=METRICS["log_loss"]), table, 2)
    assert levels[0].feeds == ("good",)
    assert list(levels[1].found["good"].models[0].table_.columns)[:2] == ["member_good", *table.X.columns[:1]]
    tower = finish(plan(members, feeding=METRICS["log_loss"]), table, levels)
    assert "bad" not in tower.levels[0]
    said = tower.predict(table.X)
    assert said.min() >= 0 and said.max() <= 1


def test_columns_of_predictions():
    table = pd.DataFrame({"a": [1, 2]})
    two, three, one = np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0.1, 0.2, 0.7]] * 2), np.array([5.0, 6.0])
    assert column_names({"x": two}, np.array(["n", "y"])) == ["member_x"]
    assert column_names({"x": three}, np.arange(3)) == ["member_x_0", "member_x_1", "member_x_2"]
    assert column_names({"x": one, "y": two}, None) == ["member_x", "member_y_0", "member_y_1"]
    np.testing.assert_array_equal(join(table, {"x": two}, np.arange(2)).to_numpy(), [[0.8, 1], [0.4, 2]])
    np.testing.assert_array_equal(join(None, {"x": one, "y": two}, None), [[5, 0.2, 0.8], [6, 0.6, 0.4]])
    assert join(sparse.csr_array(table.to_numpy()), {"x": one}, None).toarray().tolist() == [[5, 1], [6, 2]]
    with pytest.raises(CompatibilityError, match="column 'member_x' has the name of a column of predictions"):
        join(table.assign(member_x=0), {"x": one}, None)


@pytest.mark.parametrize(
    ("known", "folds"),
    [
        ({}, 5),
        ({"groups": np.repeat([0, 1, 2], 10)}, 3),
        ({"groups": np.zeros(30)}, None),
        ({"time": np.repeat([0, 1, 2, 3], [9, 9, 9, 3])}, 3),
        ({"time": np.repeat([0, 1], 15)}, None),
    ],
)
def test_with_few_groups_or_moments_there_are_fewer_folds_for_weights_or_none(known, folds):
    split = weight_split(Split(5, seed=3), About(**known), 30, 0)
    assert split == (None if folds is None else Split(folds, seed=3))


def test_one_group_is_never_taken_apart():
    table = spied(Split(4), groups=np.r_[np.zeros(60), np.arange(1, 61)])
    # the part that is covered is of one group: the blend is fitted, and not judged
    p = {name: np.where(np.arange(120)[:, None] < 60, [[0.4, 0.6]], np.nan) for name in ("one", "two")}
    p["two"] = 1 - p["two"]
    found = blend_covered(p, table, plan())
    assert not found.verdict.judged and "no rows can be left out" in str(found.verdict) and found.nonconformity == ()
    with pytest.raises(CompatibilityError, match="2 folds need at least as many groups, got 1"):
        BlendClassifier(cv=2).fit(np.arange(40.0)[:, None], np.arange(40) % 2, groups=np.zeros(40))
