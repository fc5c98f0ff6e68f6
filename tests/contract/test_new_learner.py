"""A learner of one's own: a function, a row and its oracle, and everything else follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import modelweave
from modelweave.catalog import LEARNERS
from modelweave.cli.app import main
from modelweave.errors import ParameterError
from modelweave.predictions import FittedRule, Learner, Linear
from modelweave.weights import Parameter

Y = np.array([0, 1] * 20)
MEMBERS = {"good": np.where(Y == 1, 0.8, 0.2), "fair": np.where(Y == 1, 0.6, 0.4), "bad": np.where(Y == 1, 0.51, 0.49)}


# the part
def few_best(pool: Any, y: Any, metric: Any, *, count: int = 2, weight: Any = None, **_: Any) -> FittedRule:
    """The mean of the members with the least losses."""
    losses = [metric.loss(y, values, weight) for values in pool.values]
    kept = np.argsort(losses, kind="stable")[:count]
    return FittedRule(Linear(tuple(float(place in kept) / len(kept) for place in range(len(losses)))))


# the row
ROW = Learner(
    "few_best",
    "mean of the best few",
    "mean of p_j over the `count` least losses",
    "this test",
    group="toys",
    purpose="a test",
    fit=few_best,
    parameters=(Parameter("count", "int", 2, at_least=1, help="how many members"),),
    presets={"alone": {"count": 1}},
    keeps=frozenset({"order_free", "between_members", "single_is_itself"}),
)


# the oracle
def test_by_hand() -> None:
    found = modelweave.blend(MEMBERS, Y, method=ROW, fall_back=False)
    assert found.weights == {"good": 0.5, "fair": 0.5, "bad": 0}
    assert found.predict(MEMBERS)[:2] == pytest.approx([0.3, 0.7])
    assert found.method == "few_best" and found.verdict.judged
    assert modelweave.blend(MEMBERS, Y, method=ROW, preset="alone").weights["good"] == 1
    assert modelweave.Blend.from_json(found.to_json()).predict(MEMBERS) == pytest.approx(found.predict(MEMBERS))


def test_a_function_will_do() -> None:
    found = modelweave.blend(MEMBERS, Y, method=few_best, fall_back=False)
    assert found.method == "few_best" and found.weights["fair"] == 0.5


def test_an_estimator_takes_it() -> None:
    X = np.column_stack([Y + 0.1, np.tile([0.3, 0.2, 0.1, 0.4], 10)])
    found = modelweave.BlendClassifier(method=ROW, options={"count": 1}, fall_back=False).fit(X, Y)
    assert sorted(found.weights_.values())[-1] == 1


def test_its_options_are_checked() -> None:
    with pytest.raises(ParameterError, match="options: count must be a whole number at least 1, got 0"):
        modelweave.blend(MEMBERS, Y, method=ROW, count=0)
    with pytest.raises(ParameterError, match="unknown parameter of few_best 'cuont'; did you mean 'count'"):
        modelweave.blend(MEMBERS, Y, method=ROW, cuont=1)
    with pytest.raises(ParameterError, match="unknown preset 'all', few_best has alone"):
        modelweave.blend(MEMBERS, Y, method=ROW, preset="all")


def test_everything_else_follows_from_its_place_in_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(LEARNERS, ROW.name, ROW)
    assert main(["methods", "few_best"]) == 0
    out = capsys.readouterr().out
    assert "a whole number at least 1" in out and "how many members" in out
    assert main(["methods", "--level", "predictions"]) == 0
    assert "  toys\n    few_best " in capsys.readouterr().out
    assert modelweave.blend(MEMBERS, Y, method="few_best", fall_back=False).weights["fair"] == 0.5
