"""The guard: rows that no level has seen say whether stacking helps, and find members that know more than they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from modelweave.outputs.estimators.blend import BlendClassifier
from modelweave.outputs.estimators.stack import StackClassifier
from modelweave.outputs.splits import Split

from .members import Remembers


def make_rows(rows: int, seed: int) -> tuple[Any, Any]:
    """A key, and five numbers of which three say something of the class."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, 5))
    y = (X[:, 0] + 0.7 * X[:, 1] - 0.5 * X[:, 2] + random.normal(size=rows) > 0).astype(int)
    return np.column_stack([random.permutation(rows) + seed * 1e6, X]), y


class Skips(ClassifierMixin, BaseEstimator):
    """Another classifier that does not look at the key."""

    def __init__(self, model: Any = None) -> None:
        self.model = model

    def fit(self, X: Any, y: Any) -> Skips:
        self.model_ = clone(self.model).fit(np.asarray(X)[:, 1:], y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(np.asarray(X)[:, 1:])


def honest() -> list[tuple[str, Any]]:
    return [("line", Skips(LogisticRegression())), ("normal", Skips(GaussianNB()))]


@pytest.fixture(autouse=True)
def forget() -> None:
    Remembers.shared.clear()


@pytest.mark.parametrize("cv", [4, KFold(4, shuffle=True, random_state=0)])
def test_a_member_that_knows_the_folds_is_flagged_and_left_out(cv: Any) -> None:
    X, y = make_rows(600, 1)
    new, truth = make_rows(2000, 2)
    members = [*honest(), ("memory", Remembers(leak=True, guess=True))]
    above = {"stackers": [("line", LogisticRegression())], "passthrough": False}
    blind = StackClassifier(members, cv=cv, guard=None, **above).fit(X, y)
    # in validation it looks far better than can be, and everything rests on it
    assert blind.verdict_.scores["greedy"] < 0.4 < 0.6 < log_loss(truth, blind.predict_proba(new))
    Remembers.shared.clear()
    found = StackClassifier(members, cv=cv, **above).fit(X, y)
    before, after = found.guard_.suspects["memory"]
    assert before < 0.4 and after > 0.8
    assert found.guard_.dropped == ("memory",) and "memory" not in found.weights_
    assert "knows more of the folds than it should" in str(found.guard_)
    # what is fitted is what the honest members alone would have made
    alone = StackClassifier(honest(), cv=cv, guard=None, levels=found.levels_ - 1, **above).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(new), alone.predict_proba(new))
    assert log_loss(truth, found.predict_proba(new)) < 0.5


def test_an_upper_level_that_knows_the_folds_is_flagged_and_not_used() -> None:
    X, y = make_rows(600, 1)
    new, truth = make_rows(2000, 2)

    class Last(Remembers):
        """Keys stand after the two predictions of the level below."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Remembers:
            return super().fit(np.asarray(X)[:, 2:], y)

        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(np.asarray(X)[:, 2:])

    keyed = [("memory", Last(leak=True))]
    blind = StackClassifier(honest(), stackers=keyed, cv=4, guard=None).fit(X, y)
    assert blind.verdict_.scores["greedy"] < 0.25 and log_loss(truth, blind.predict_proba(new)) > 0.6
    Remembers.shared.clear()
    found = StackClassifier(honest(), stackers=keyed, cv=4).fit(X, y)
    report = found.guard_
    assert report.leak and not report.stacks and report.judged
    assert report.in_validation is not None and report.stacked is not None and report.unstacked is not None
    assert report.in_validation[0] < 0.25 < report.unstacked < report.stacked
    assert report.interval is not None and report.interval[1] < 0
    assert "though it looks better in validation" in report.sentence and "the blend is kept" in report.sentence
    assert found.levels_ == 1
    # what is kept is the blend, exactly
    plain = BlendClassifier(honest(), cv=4).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(new), plain.predict_proba(new))


def test_honest_members_are_not_flagged() -> None:
    flagged = 0
    for seed in range(8):
        X, y = make_rows(300, seed)
        members = [*honest(), ("tree", Skips(DecisionTreeClassifier(random_state=0))), ("memory", Remembers())]
        flagged += len(StackClassifier(members, LogisticRegression(), cv=3, passthrough=False).fit(X, y).guard_.suspects)
    assert flagged == 0


def test_stacking_that_helps_is_kept() -> None:
    """A sum of two squares that neither a line nor its level alone can express, but a tree on both can."""
    random = np.random.default_rng(0)
    X = random.normal(size=(900, 2))
    y = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(int)
    weak = [("a", LogisticRegression()), ("b", GaussianNB())]
    found = StackClassifier(weak, DecisionTreeClassifier(max_depth=6, random_state=0), cv=3).fit(X, y)
    assert found.guard_.stacks and found.guard_.gain is not None and found.guard_.gain > 0.2
    assert found.score(X, y) > 0.9 and found.levels_ == 2
    assert "stacking beats the plain blend" in str(found.guard_)


def test_the_part_held_out_keeps_groups_whole_and_lies_last_in_time() -> None:
    X, y = make_rows(300, 3)
    groups = np.arange(300) // 10
    for cv in (Split(3), GroupKFold(4)):
        held = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=cv).fit(X, y, groups=groups).guard_.held_out
        others = np.setdiff1d(np.arange(300), held)
        assert len(held) >= 60 and not set(groups[held]) & set(groups[others])
    moments = np.random.default_rng(0).permutation(300)
    held = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=4).fit(X, y, time=moments).guard_.held_out
    assert moments[held].min() > np.delete(moments, held).max()
    held = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=TimeSeriesSplit(4)).fit(X, y).guard_.held_out
    assert held.tolist() == list(range(240, 300))


def test_a_group_that_gives_the_class_away_does_not_pass_the_guard() -> None:
    """The key is the group: known groups are known by heart, and the guard's own part holds new ones."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 8)
    y = np.repeat(random.integers(0, 2, 60), 8)
    X = np.column_stack([groups, random.normal(size=(480, 4)) + 0.3 * y[:, None]])
    members = [*honest(), ("memory", Remembers())]
    without = StackClassifier(members, cv=3).fit(X, y)
    assert without.guard_.unstacked is not None and without.guard_.unstacked < 0.1
    found = StackClassifier(members, cv=3).fit(X, y, groups=groups)
    assert found.guard_.unstacked is not None and found.guard_.unstacked > 0.4
    assert (found.out_of_fold_["memory"] == 0.5).all()


def test_where_nothing_can_be_judged_nothing_is_stacked() -> None:
    X, y = make_rows(60, 1)
    found = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=5).fit(X, y)
    assert not found.guard_.judged and not found.guard_.stacks and found.levels_ == 1
    assert "12 rows held out are too few" in str(found.guard_) and "the blend is kept" in str(found.guard_)
    asked = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=5, guard=None).fit(X, y)
    assert asked.levels_ == 2
    X, y = make_rows(200, 1)
    found = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=KFold(2)).fit(X, y)
    assert not found.guard_.judged and "ask for more folds" in str(found.guard_) and found.levels_ == 1
    found = StackClassifier(honest(), LogisticRegression(), passthrough=False, cv=3).fit(X, y, groups=np.arange(200) // 50)
    assert not found.guard_.judged and "of one group" in str(found.guard_) and found.levels_ == 1
