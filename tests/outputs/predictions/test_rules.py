"""Rules by hand, rows that members do not cover, and what is saved predicts the same."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from modelweave.outputs.predictions import rules
from modelweave.outputs.predictions.rules import (
    BySegment,
    Gate,
    Linear,
    OnTempered,
    Pooled,
    RankMean,
    Stacker,
    Tempered,
    rule_from_json,
    rule_to_json,
    temper,
)

NAN = float("nan")
P = np.array([[0.9, 0.1], [0.6, 0.4], [NAN, NAN]])
Q = np.array([[0.5, 0.5], [NAN, NAN], [NAN, NAN]])


def test_rows_go_by_the_members_that_cover_them() -> None:
    found = Linear((0.25, 0.75))([P, Q])
    assert found[0] == pytest.approx([0.6, 0.4])
    assert found[1] == pytest.approx([0.6, 0.4]), "the weight of the one that is there becomes 1"
    assert np.isnan(found[2]).all(), "no member covers it"
    lone = Linear((0.0, 1.0))([P, Q])
    assert lone[1] == pytest.approx([0.6, 0.4]), "no weight on who is there: equal ones"


def test_weights_that_do_not_sum_to_one_keep_their_sum() -> None:
    p, q = np.array([1.0, 1.0]), np.array([10.0, NAN])
    assert Linear((0.5, 0.3))([p, q]) == pytest.approx([3.5, 0.8])


def test_weights_a_class() -> None:
    rule = Linear(((1.0, 0.0), (0.0, 1.0)), normalise=True)
    assert rule([np.array([[0.6, 0.4]]), np.array([[0.8, 0.2]])])[0] == pytest.approx([0.75, 0.25])
    assert rule([P[1:2], Q[1:2]])[0] == pytest.approx([0.6, 0.4])


def test_median_and_geometric_mean_by_hand() -> None:
    stack = [np.array([[0.2, 0.8]]), np.array([[0.5, 0.5]]), np.array([[0.9, 0.1]])]
    assert Pooled("median")(stack)[0] == pytest.approx([0.5, 0.5])
    roots = np.cbrt([0.2 * 0.5 * 0.9, 0.8 * 0.5 * 0.1])
    assert Pooled("geometric")(stack)[0] == pytest.approx(roots / roots.sum())
    column = Pooled("geometric")([s[:, 1] for s in stack])
    assert column == pytest.approx(Pooled("geometric")(stack)[:, 1]), "the mean of logits is the geometric mean"
    assert Pooled("geometric", probabilities=False)([np.array([1.0]), np.array([4.0])]) == pytest.approx([2.0])
    assert Pooled("median")([P, Q])[1] == pytest.approx([0.6, 0.4]) and np.isnan(Pooled("median")([P, Q])[2]).all()
    assert Pooled("geometric")([P, Q])[1] == pytest.approx([0.6, 0.4]) and np.isnan(Pooled("geometric")([P, Q])[2]).all()


def test_ranks_by_hand() -> None:
    rule = RankMean(((1.0, 2.0, 3.0), (10.0, 10.0, 40.0)))
    assert rule([np.array([1.0, 3.0, 9.0]), np.array([10.0, 40.0, NAN])]) == pytest.approx([(0 + 0.25) / 2, 1.0, 1.0])


def test_a_temperature_by_hand() -> None:
    assert temper(np.array([0.8]), 2.0) == pytest.approx([2 / 3])
    assert temper(np.array([[0.8, 0.2]]), 2.0)[0] == pytest.approx([2 / 3, 1 / 3])
    assert np.isnan(temper(np.array([[NAN, NAN]]), 2.0)).all()
    assert Tempered(Linear((1.0,)), 2.0)([np.array([0.8])]) == pytest.approx([2 / 3])
    assert OnTempered(Linear((0.5, 0.5)), (2.0, 1.0))([np.array([0.8]), np.array([0.0])]) == pytest.approx([1 / 3])


def test_a_gate_without_slope_is_a_softmax_of_its_intercept() -> None:
    gate = Gate(((0.0, 0.0), (0.0, 0.0)), (0.0, float(np.log(3))), (0.0, 0.0), (1.0, 1.0))
    assert gate([P[:1], Q[:1]])[0] == pytest.approx([0.6, 0.4])
    assert gate([P[1:], Q[1:]])[0] == pytest.approx([0.6, 0.4]) and np.isnan(gate([P[1:], Q[1:]])[1]).all()


def test_segments_have_their_rules() -> None:
    rule = BySegment({"u": Linear((1.0, 0.0))}, Linear((0.0, 1.0)))
    p, q = np.array([0.1, 0.2]), np.array([0.6, 0.7])
    assert rule([p, q], np.array(["u", "other"])).tolist() == [0.1, 0.7]
    assert rule([p, q]).tolist() == [0.6, 0.7]


EVERY: list[tuple[Any, list[Any]]] = [
    (Linear((0.25, 0.75)), [P, Q]),
    (Linear(((1.0, 0.5), (0.0, 0.5)), True), [P, Q]),
    (Pooled("geometric", True, (1.0, 2.0)), [P, Q]),
    (RankMean(((0.0, 1.0), (0.0, 0.5, 1.0))), [P[:, 0], Q[:, 0]]),
    (Stacker("softmax", ((1.0, 0.5, -1.0, 0.0), (0.0, 1.0, 0.0, 2.0)), (0.1, -0.1)), [P, Q]),
    (Stacker("sigmoid", ((1.0, 0.5),), (0.1,)), [P[:, 0], Q[:, 0]]),
    (Stacker("identity", ((1.0, 0.5),), (0.1,)), [P[:, 0], Q[:, 0]]),
    (BySegment({"u": Linear((1.0, 0.0))}, Linear((0.5, 0.5))), [P, Q]),
    (Gate(((0.1, 0.2), (0.3, 0.4)), (0.0, 1.0), (0.0, 0.1), (1.0, 2.0)), [P, Q]),
    (Tempered(OnTempered(Linear((0.5, 0.5)), (2.0, 0.5)), 1.5), [P, Q]),
]


@pytest.mark.parametrize(("rule", "members"), EVERY, ids=[type(rule).__name__ + str(i) for i, (rule, _) in enumerate(EVERY)])
def test_what_is_saved_predicts_the_same_and_blocks_do_not_show(rule: Any, members: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    segments = np.array(["u", "v", "u"])
    whole = rule(members, segments)
    again = rule_from_json(json.loads(json.dumps(rule_to_json(rule))))
    assert again == rule
    assert np.array_equal(again(members, segments), whole, equal_nan=True)
    monkeypatch.setattr(rules, "ROWS_AT_ONCE", 1)
    assert rule(members, segments) == pytest.approx(whole, nan_ok=True)


def test_a_saved_rule_needs_numpy_alone() -> None:
    code = (
        "import sys; from modelweave.outputs.predictions.rules import rule_from_json; import numpy as np;"
        "print(rule_from_json({'kind': 'linear', 'weights': [0.5, 0.5]})([np.array([0.2]), np.array([0.4])]));"
        "print(sorted({'torch', 'scipy', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[0.3]", "[]"]
