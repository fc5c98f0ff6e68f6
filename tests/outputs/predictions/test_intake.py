"""What is refused before anything is averaged, in one sentence each; and tables matched by key and column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from modelweave import blend
from modelweave.errors import CompatibilityError, InputError, ModelweaveError, ParameterError
from modelweave.outputs.predictions.intake import make_pool
from modelweave.outputs.predictions.pool import duplicates

from .slow import make_members, make_numbers

MEMBERS, Y = make_members(0, 90, 3)
A, B = MEMBERS["m0"], MEMBERS["m1"]
TWO = np.array([0.2, 0.9, 0.6, 0.4])


def nan_row(values: np.ndarray, row: int, column: Any = slice(None)) -> np.ndarray:
    copy = values.copy()
    copy[row, column] = np.nan
    return copy


@pytest.mark.parametrize(
    ("members", "y", "named", "message"),
    [
        ({}, Y, {}, "members: expected at least one array of predictions by name, got none"),
        ({"a": A}, [], {}, "targets: expected one value a row, got none"),
        ({"a": A}, np.zeros(90, int), {}, r"targets: all 90 rows have the one class .*0.*; expected at least two classes"),
        ({"a": 5 * A - 1}, Y, {}, "member 'a': expected probabilities in .* these look like scores, pass them through a softmax"),
        ({"a": A * 0.5}, Y, {}, "member 'a': row 0 sums to 0.5; expected probabilities that sum to 1"),
        ({"a": nan_row(A, 3, 1)}, Y, {}, "member 'a': row 3 is NaN in some columns only"),
        ({"a": A * np.nan}, Y, {}, "member 'a': all rows are NaN; leave the member out"),
        ({"a": np.where(A[4, 0] == A, np.inf, A)}, Y, {}, "member 'a': row 4 is infinite"),
        ({"a": A}, np.where(np.arange(90) == 7, np.nan, Y), {}, "targets: row 7 is not a label; leave out rows without a target"),
        ({"a": A}, np.array([None, *map(str, Y[1:])], object), {}, "targets: row 0 has no label"),
        ({"a": np.array([["x"] * 3] * 90)}, Y, {}, "member 'a': expected numbers, got <U1"),
        ({"a": np.zeros((90, 3, 2))}, Y, {}, r"member 'a': expected an array \(rows,\) or \(rows, columns\), got shape \(90, 3, 2\)"),
        ({"a": Y + 0.5}, np.where(np.arange(90) == 9, np.inf, Y), {"metric": "rmse"}, "targets: row 9 is not a finite number"),
        ({"a": Y + 0.5}, [f"c{y}" for y in Y], {"metric": "rmse"}, "targets: expected numbers, got <U2; a metric of classes takes labels"),
    ],
)
def test_arrays_that_are_no_predictions_or_targets(members: dict[str, Any], y: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        blend(members, y, **named)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("members", "y", "named", "message"),
    [
        ({"a": A, "b": B[:50]}, Y, {}, "member 'b': has 50 rows, expected 90; give every member the same rows"),
        ({"a": A}, Y[:80], {}, "member 'a': has 90 rows, expected 80"),
        ({"a": A, "b": B[:, :2]}, Y, {}, "member 'b': has 2 columns, member 'a' has 3; expected the same"),
        ({"a": A[:, [1, 2, 0]]}, Y, {}, "member 'a': its columns seem to be in another order: rows of class 0 are called 2"),
        (
            {"a": A},
            np.where(Y == 0, "x", np.where(Y == 1, "y", "q")),
            {"labels": ["x", "y", "z"]},
            "class 'q' is not among the members' labels x, y, z",
        ),
        ({"a": A}, Y, {"labels": [0, 1]}, "labels: expected 3, one a column, got 2: 0, 1"),
        ({"a": A}, np.where(Y == 0, "x", "y"), {}, "targets: have 2 classes, x, y, and the members 3 columns; say labels="),
        (
            {"a": np.column_stack([Y, Y])},
            Y,
            {"metric": "rmse"},
            r"member 'a': has shape \(90, 2\), targets have \(90,\); expected the same",
        ),
    ],
)
def test_arrays_that_do_not_fit(members: dict[str, Any], y: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(CompatibilityError, match=message) as caught:
        blend(members, y, **named)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"provenance": "in_sample"}, "predictions of member 'm0' are in-sample, .*give out-of-fold or hold-out predictions"),
        ({"provenance": {"m1": "in-sample"}}, "predictions of member 'm1' are in-sample"),
        ({"provenance": "out_of_fodl"}, "unknown provenance 'out_of_fodl'; did you mean 'out_of_fold'"),
        ({"method": "gredy"}, "unknown method 'gredy'; did you mean 'greedy'"),
        ({"metric": "rmse", "method": "logistic"}, "rmse does not apply|expected"),
        ({"method": "ridge"}, "method: ridge does not apply to multiclass predictions; those that do: mean, median"),
        ({"rounds": 0}, "options: rounds must be a whole number at least 1, got 0"),
        ({"round": 5}, "options: unknown parameter of greedy 'round'; did you mean 'rounds'"),
        ({"preset": "mljar"}, "unknown preset 'mljar', greedy has autogluon, auto_sklearn"),
        ({"calibration": "all"}, "unknown choice 'all'"),
        ({"folds": 1}, "folds must be a whole number of at least 2"),
        ({"groups": [1, 2]}, "groups: expected one value for each of 90 rows"),
        ({"sample_weight": -np.ones(90)}, "weight: expected finite numbers of at least 0"),
        ({"time": np.arange(90)[::-1]}, r"time: row 1 \(88\) lies before row 0 \(89\)"),
        ({"method": "per_group"}, "per_group: expected segments"),
    ],
)
def test_options_that_are_wrong(named: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelweaveError, match=message):
        blend(MEMBERS, Y, **named)


def test_numbers_have_no_temperature() -> None:
    members, y = make_numbers(0)
    with pytest.raises(ParameterError, match="calibration: applies to probabilities"):
        blend(members, y, calibration="blend")


def test_two_classes_in_one_column_or_two_are_the_same() -> None:
    y = np.array([0, 1, 1, 0])
    one, _, _ = make_pool({"a": TWO}, y)
    two, _, _ = make_pool({"a": np.column_stack([1 - TWO, TWO])}, y)
    flags, codes, _ = make_pool({"a": TWO[:, None]}, y == 1)
    assert one.task == two.task == flags.task == "binary" and codes.tolist() == [0, 1, 1, 0]
    assert flags.labels == (False, True)
    for pool in (two, flags):
        assert pool.values[0] == pytest.approx(one.values[0])
    assert one.of_truth(codes)[0] == pytest.approx([0.8, 0.9, 0.6, 0.6])


def test_what_the_targets_are_is_seen_from_them() -> None:
    assert make_pool({"a": TWO}, [0.1, 2.0, 1.5, 0.3])[0].task == "regression"
    assert make_pool({"a": TWO}, [0, 1, 2, 0])[0].task == "regression"
    assert make_pool({"a": TWO}, ["no", "yes", "yes", "no"])[0].labels == ("no", "yes")
    assert make_pool({"a": TWO}, [0, 1, 1, 0], metric="rmse")[0].task == "regression"
    assert make_pool({"a": A}, Y)[0].labels == (0, 1, 2)
    missing = make_pool({"a": A}, np.minimum(Y, 1))[0]
    assert missing.labels == (0, 1, 2), "a class that no row has"


def test_tables_are_matched_by_column_and_key() -> None:
    words = np.array(["c", "a", "b"])
    keys = [f"r{i}" for i in range(90)]
    y = pd.Series(words[Y], index=keys)
    order = np.random.default_rng(0).permutation(90)
    first = pd.DataFrame(A, columns=words, index=keys).iloc[order]
    second = pd.DataFrame(B[:, [2, 0, 1]], columns=words[[2, 0, 1]], index=keys).iloc[5:]
    pool, codes, notes = make_pool({"a": first, "b": second}, y)
    assert pool.labels == ("c", "a", "b") and codes.tolist() == Y.tolist()
    assert pool.values[0] == pytest.approx(A)
    assert np.isnan(pool.values[1][:5]).all() and pool.values[1][5:] == pytest.approx(B[5:])
    assert notes == ["'b' covers 85 of 90 rows; others stand in where it does not"]
    with pytest.raises(CompatibilityError, match="member 'b': has columns c, a, d, expected c, a, b"):
        make_pool({"a": first, "b": second.set_axis(["c", "a", "d"], axis=1)}, y)
    with pytest.raises(InputError, match="member 'a': key 'r1' occurs twice"):
        make_pool({"a": pd.concat([first, first.loc[["r1"]]])}, y)
    with pytest.raises(CompatibilityError, match="member 'a': has none of the targets' keys, such as 'r0'"):
        make_pool({"a": first.set_axis(range(90))}, y)


def test_plain_lists_are_taken() -> None:
    found = blend({"a": [0.9, 0.2, 0.7], "b": [0.6, 0.5, 0.4]}, ["yes", "no", "yes"])
    assert found.labels == ("no", "yes") and found.weights == {"a": 1.0, "b": 0.0}
    assert found.predict({"a": [0.3], "b": [0.1]}).tolist() == [0.3]


def test_tensors_are_taken() -> None:
    pool, _, _ = make_pool({"a": torch.tensor(A, dtype=torch.float32, requires_grad=True)}, torch.tensor(Y))
    assert pool.values[0].dtype == np.float32 and pool.values[0] == pytest.approx(A, abs=1e-6)


def test_notes_say_what_is_odd() -> None:
    sure = np.where(np.arange(90)[:, None] == 3, np.eye(3)[(Y + 1) % 3], A)
    _, _, notes = make_pool({"a": sure, "flat": np.full((90, 3), 1 / 3)}, Y)
    assert notes == [
        "'a' gives probability 0 to what occurred in 1 rows; logarithms take it as 1e-15",
        "'flat' predicts the same for every row",
    ]


def test_copies_are_found_also_with_gaps() -> None:
    gap = nan_row(A, 5)
    pool, _, _ = make_pool({"a": A, "b": B, "c": A.copy(), "d": gap, "e": gap.copy()}, Y)
    assert duplicates(pool) == {2: 0, 4: 3}


def test_two_columns_that_are_swapped_are_seen_also_when_noisy() -> None:
    random = np.random.default_rng(2)
    y = random.integers(0, 2, 100)
    p = np.clip(0.5 + 0.3 * (y - 0.5) + 0.2 * random.standard_normal(100), 0.01, 0.99)
    make_pool({"a": p}, y)
    with pytest.raises(
        CompatibilityError, match="member 'a': its columns seem to be in another order: rows of class 0 are called 1 in .* 2 classes"
    ):
        make_pool({"a": 1 - p}, y)


def test_a_poor_member_is_not_taken_for_a_permuted_one() -> None:
    random = np.random.default_rng(3)
    for seed in range(200):
        p = np.random.default_rng(seed).dirichlet(np.ones(3), 90)
        assert make_pool({"noise": p}, Y)[0].names == ("noise",)
    y = (random.random(60) < 0.1).astype(int)
    make_pool({"all the same": np.full(60, 0.1), "mostly": np.where(random.random(60) < 0.9, 0.2, 0.7)}, y)


def test_scores_of_two_classes_are_not_taken_for_numbers():
    y = np.array([0, 1, 0, 1])
    scores = np.array([-3.0, 2.0, -1.0, 4.0])
    with pytest.raises(CompatibilityError, match=r"the targets have two values, and its predictions go from -3 to 4.*a sigmoid first"):
        blend({"a": scores, "b": scores}, y)
    assert blend({"a": scores, "b": scores}, y, metric="rmse").task == "regression"
