"""One split object: groups stay whole, nothing looks ahead, every row is tested as often as it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.splits import Split, check_sorted

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("grouped", [False, True])
def test_each_row_is_tested_once_a_repeat(grouped: bool) -> None:
    y = RANDOM.integers(0, 3, 100)
    groups = RANDOM.integers(0, 23, 100) if grouped else None
    folds = Split(5, repeats=3).over(y, groups=groups)
    assert len(folds) == 15
    for repeat in range(3):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(100))
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert sorted([*fold.train, *fold.test]) == list(range(100))
    assert folds[0].test.tolist() != folds[5].test.tolist()


def test_classes_are_spread_as_evenly_as_counts_allow() -> None:
    y = np.repeat(["a", "b", "c"], [50, 25, 10])
    for fold in Split(5).over(y):
        assert np.unique(y[fold.test], return_counts=True)[1].tolist() == [10, 5, 2]


def test_groups_stay_whole_and_classes_are_still_spread() -> None:
    groups = np.repeat(np.arange(40), 5)
    y = np.repeat(np.arange(40) % 2, 5)
    for fold in Split(4).over(y, groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert y[fold.test].mean() == 0.5
        assert len(fold.test) == 50


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 2))
def test_time_is_only_looked_back_on(moments: list[int], folds: int, gap: int) -> None:
    time = np.array(sorted(moments))
    y = np.zeros(len(time))
    if len(set(moments)) < folds + 1:
        with pytest.raises(CompatibilityError, match="different moments"):
            Split(folds).over(y, time=time)
        return
    found = Split(folds).over(y, time=time)
    assert len(found) == folds
    tested = np.concatenate([fold.test for fold in found])
    assert sorted(tested) == list(range(len(time) - len(tested), len(time)))
    for fold in found:
        assert time[fold.train].max() < time[fold.test].min()
    places = np.unique(time, return_inverse=True)[1]
    if any(places[fold.test].min() <= gap for fold in found):
        with pytest.raises(CompatibilityError, match="lower gap"):
            Split(folds, gap=gap).over(y, time=time)
        return
    for fold in Split(folds, gap=gap).over(y, time=time):
        assert places[fold.train].max() + gap < places[fold.test].min()


def test_rows_of_a_tested_group_do_not_learn_from_their_past() -> None:
    fold = Split(2).over(np.zeros(12), time=np.arange(12), groups=[9, 1, 2, 3, 4, 5, 6, 7, 9, 8, 8, 8])[-1]
    assert fold.test.tolist() == [8, 9, 10, 11]
    assert fold.train.tolist() == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(CompatibilityError, match="fold 1 has no row to learn from"):
        Split(2).over(np.zeros(12), time=np.arange(12), groups=[9] * 12)


def test_by_hand_in_time() -> None:
    folds = Split(folds=3).over(np.zeros(8), time=[0, 1, 2, 3, 3, 3, 3, 3])
    assert [fold.test.tolist() for fold in folds] == [[1], [2], [3, 4, 5, 6, 7]]


def test_the_hold_out_follows_the_same_rules() -> None:
    groups = np.repeat(np.arange(10), 3)
    apart = Split(5).holdout(np.zeros(30), groups=groups)
    assert not set(groups[apart.train]) & set(groups[apart.test])
    late = Split(4).holdout(np.zeros(10), time=np.arange(10))
    assert late.test.tolist() == [8, 9] and late.train.tolist() == list(range(8))


def test_scikit_learn_takes_it() -> None:
    X = RANDOM.standard_normal((60, 2))
    y = (X[:, 0] > 0).astype(int)
    assert cross_val_score(GaussianNB(), X, y, cv=Split(4), groups=np.arange(60) // 3).shape == (4,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Split(1), "folds must be a whole number of at least 2, got 1"),
        (lambda: Split(2.5), "folds must be"),  # type: ignore[arg-type]
        (lambda: Split(3, repeats=0), "repeats must be"),
        (lambda: Split(3, repeats=2).over([0, 1, 2, 3], time=[1, 2, 3, 4]), "repeats must be 1 with time"),
    ],
)
def test_wrong_options_are_one_sentence(make: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"groups": [1, 2]}, "groups: expected one value for each of 4 rows"),
        ({"groups": [1, 1, 2, 2]}, "3 folds need at least as many groups, got 2; ask for fewer folds"),
        ({"time": [1.0, np.nan, 2, 3]}, "time: row 1 is NaN"),
        ({"time": [1, 1, 1, 2]}, "need at least 4 different moments, got 2"),
    ],
)
def test_wrong_rows_are_one_sentence(named: dict[str, list[float]], message: str) -> None:
    with pytest.raises(CompatibilityError, match=message):
        Split(3).over([0, 1, 0, 1], **named)  # type: ignore[arg-type]
    with pytest.raises(CompatibilityError, match="3 folds need at least as many rows, got 2"):
        Split(3).over([0, 1])


def test_unsorted_time_names_the_row() -> None:
    check_sorted([1, 2, 2, 3])
    with pytest.raises(CompatibilityError, match=r"time: row 2 \(1\) lies before row 1 \(5\); expected rows in the order of time"):
        check_sorted([0, 5, 1])
