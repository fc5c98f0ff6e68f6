"""Text tables as stacks: members with typed columns on levels, and the guard."""

from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from modelweave import TextTableClassifier
from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.estimators.table import Table
from modelweave.outputs.estimators.tower import TowerPlan, blend_covered, finish, fit_level, fit_levels, spoken
from modelweave.outputs.leak import find_leak
from modelweave.outputs.predictions.learner import About
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.splits import Split
from modelweave.outputs.text_table.column_types import column_types
from modelweave.outputs.text_table.named import choose

from .made import CHEAP, Spy, made


def study(rows=120, folds=3, seed=0, **known):
    table, y = made(rows, seed)
    split = Split(folds)
    return Table(table, y, np.arange(2), tuple(split.over(y, classes=True)), About(**known), split)


def members_of(table, names, options=None):
    return tuple(choose(names, column_types(table.X), classification=True, options=options or CHEAP))


def plan(members, metric="log_loss"):
    blending = {"method": "greedy", "preset": "autogluon", "metric": metric}
    return TowerPlan((members, members), blending, passthrough=True, refit=False)


def test_new_rows_get_the_mean_of_all_models_on_both_levels():
    table = study()
    members = members_of(table, ["linear", "extra_trees"])
    levels = fit_levels(plan(members), table, 2)
    new, _ = made(30, seed=5)
    below = {name: sum(model.predict_proba(new) for model in one.models) / 3 for name, one in levels[0].found.items()}
    extended = new.assign(**{f"member_{name}": p[:, 1] for name, p in below.items()})
    above = {f"{name}@2": sum(model.predict_proba(extended) for model in one.models) / 3 for name, one in levels[1].found.items()}
    tower = finish(plan(members), table, levels)
    said = tower.say(new)
    assert {"extra_trees@2", "linear@2"} & set(said)
    for name, p in said.items():
        np.testing.assert_allclose(p, (below | above)[name])
    weights = tower.blend.weights
    np.testing.assert_allclose(tower.predict(new), sum(weights[name] * p for name, p in (below | above).items()))


def test_members_read_predictions_as_numbers_of_the_upper_level():
    table = study()
    (member,) = members_of(table, ["gbm_tabular"])
    above = member.above(["member_gbm"])
    assert above.types.numeric == above.estimator.types.numeric == ("size", "member_gbm")
    assert above.estimator.types.text == () and above.types.text == ("said",)
    (text,) = members_of(table, ["network_text"])
    assert text.above(["member_gbm"]).estimator.types.numeric == ()
    assert member.above([]).name == "gbm_tabular" and member.estimator.types.numeric == ("size",)


def test_a_copy_changes_nothing_and_of_copies_the_one_is_left():
    table = study()
    members = members_of(table, ["linear", "extra_trees"])
    (level,) = fit_levels(plan(members), table, 1)
    p = spoken([level])
    plain, copied = blend_covered(p, table, plan(members)), blend_covered(p | {"copy": p["linear"]}, table, plan(members))
    np.testing.assert_array_equal(copied.predict(p | {"copy": p["linear"]}), plain.predict(p))
    assert copied.weights["copy"] == 0
    alone = {"linear": p["linear"], "copy": p["linear"]}
    np.testing.assert_array_equal(blend_covered(alone, table, plan(members)).predict(alone)[:, 1], p["linear"][:, 1])
    assert min(plain.weights.values()) >= 0 and sum(plain.weights.values()) == pytest.approx(1)


def test_predictions_of_rows_learnt_from_are_flagged_and_look_better_than_they_are():
    table = study(300, seed=4)
    new, truth = made(300, seed=5)
    # trees that know every row by heart
    members = members_of(table, ["extra_trees", "linear"], {"extra_trees": {"trees": 30, "least": 1}})
    (lower,) = fit_levels(plan(members, "roc_auc"), table, 1)
    honest = {name: one.predictions for name, one in lower.found.items()}
    known = {name: sum(m.predict_proba(table.X) for m in one.models) / 3 for name, one in lower.found.items()}
    unseen = {name: sum(m.predict_proba(new) for m in one.models) / 3 for name, one in lower.found.items()}
    assert find_leak("trees", known["extra_trees"], table.y, unseen["extra_trees"], truth).flagged
    assert not any(find_leak(name, honest[name], table.y, unseen[name], truth).flagged for name in honest)
    scores = []
    for fed in (honest, known):
        upper = fit_level(plan(members, "roc_auc"), members, table, lower, fed)
        scores.append(max(table.score(one.predictions, METRICS["roc_auc"]) for one in upper.found.values()))
    assert scores[1] > scores[0] + 0.02


class Stubborn(ClassifierMixin, BaseEstimator):
    """Good on the columns; on predictions of a lower level, sure of the wrong class on new rows."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.rows_ = X["row"].max()
        self.upper_ = any(name.startswith("member_") for name in X.columns)
        return self

    def predict_proba(self, X):
        p = np.where(X["truth"] == (1 if not self.upper_ or X["row"].max() < 100 else 0), 0.7, 0.3)
        if self.upper_ and X["row"].max() < 100:
            p = np.where(p > 0.5, 0.99, 0.01)
        return np.column_stack([1 - p, p])


def stubborn():
    table, y = made(120)
    table["truth"] = y.astype(float)
    # held-out rows have numbers of 100 and more
    held = Split(3).holdout(y).test
    row = np.empty(120)
    row[held], row[np.setdiff1d(np.arange(120), held)] = 100 + np.arange(len(held)), np.arange(120 - len(held))
    table["row"] = row
    return table, y


def test_a_second_level_that_is_worse_on_held_out_rows_is_dropped():
    table, y = stubborn()
    model = TextTableClassifier({"s": Stubborn()}, folds=3, calibrate=False).fit(table, y)
    assert not model.guard_.kept and model.guard_.stacked > model.guard_.unstacked == pytest.approx(-np.log(0.7))
    assert set(model.weights_) == {"s"}
    forced = TextTableClassifier({"s": Stubborn()}, folds=3, guard=False).fit(table, y)
    assert forced.guard_ is None and set(forced.weights_) == {"s", "s@2"}


class Shares(Spy):
    """Shares what it learns among all its clones, so that it knows the rows of other folds."""

    shared: ClassVar[dict] = {}

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y)
        self.shared.update(self.known_)
        self.known_ = self.shared
        return self


def test_a_member_that_knows_other_folds_is_left_out_or_nothing_is_stacked_on_it():
    table, y = made(240)
    table["row"] = np.arange(240.0)
    Shares.shared.clear()
    model = TextTableClassifier({"shares": Shares(), "spy": Spy()}, folds=3, calibrate=False).fit(table, y)
    assert "shares" in model.guard_.suspects
    # it is no worse than a coin on unseen rows, so leaving it out does not help: it stays, and no level is built on it
    assert model.guard_.dropped == () and not model.guard_.kept and "nothing is stacked" in model.guard_.reason
    assert set(model.weights_) == {"shares", "spy"}


def test_a_trial_that_is_not_possible_says_so_and_nothing_is_stacked():
    table, y = made(120)
    table["row"] = np.arange(120.0)
    spies = {"one": Spy(), "two": Spy()}
    cases = [
        ({"folds": 3}, {"groups": np.repeat([0, 1, 2, 3], 30)}, "the rows held out are of one group"),
        ({"folds": 3}, {"time": np.repeat([0, 1, 2, 3], 30)}, "3 folds in time order need at least 4 different moments, got 3"),
        ({"folds": 10}, {}, "12 rows held out are too few"),
    ]
    for options, known, reason in cases:
        model = TextTableClassifier(spies, **options).fit(table, y, **known)
        assert not model.guard_.judged and not model.guard_.kept and reason in model.guard_.reason
        assert set(model.weights_) == {"one", "two"}


def test_few_groups_or_moments_in_a_hold_out_leave_the_weights_unjudged_and_the_model_fitted():
    table, y = made(120)
    for known in ({"groups": np.repeat(np.arange(4), 30)}, {"time": np.repeat(np.arange(5), 24)}):
        model = TextTableClassifier(["linear", "extra_trees"], mode="weighted", folds=4, options=CHEAP).fit(table, y, **known)
        assert sum(model.weights_.values()) == pytest.approx(1)


def test_levels_that_are_forced_and_cannot_be_fitted_are_refused():
    table, y = made(120)
    one_class_first = np.sort(y)
    with pytest.raises(CompatibilityError):
        TextTableClassifier(["linear"], folds=2, guard=False).fit(table, one_class_first, time=np.arange(120))


def test_weights_of_rows_that_a_member_would_ignore_are_refused():
    class Plain(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            return self

    table, y = made(40)
    with pytest.raises(ParameterError, match=r"sample_weight: member 'plain' \(Plain\) takes none"):
        TextTableClassifier({"plain": Plain()}).fit(table, y, sample_weight=np.ones(40))


def test_a_column_with_the_name_of_predictions_is_refused():
    table, y = made(120)
    with pytest.raises(CompatibilityError, match="column 'member_linear'"):
        TextTableClassifier(["linear"], folds=3, guard=False).fit(table.assign(member_linear=1.0), y)
