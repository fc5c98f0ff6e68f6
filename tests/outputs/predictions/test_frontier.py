"""What cost buys, and cascades that ask no more than they must."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from modelweave import Blend, blend
from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.predictions.frontier import Cascade, FrontierPoint, cascade, frontier, pareto

from .slow import make_members

MEMBERS, Y = make_members(0, 500, 3, (1.0, 1.0, 2.0, 4.0))
COSTS = {"m0": 10.0, "m1": 10.0, "m2": 1.0, "m3": 1.0}


def test_each_point_is_better_than_all_that_cost_less() -> None:
    points = frontier(blend(MEMBERS, Y), COSTS)
    assert [p.cost for p in points] == sorted({p.cost for p in points})
    assert all(a.score > b.score for a, b in pairwise(points))
    assert points[0].members == {"m2": 1.0} and points[-1].cost >= 20
    for point in points:
        assert point.cost == pytest.approx(sum(COSTS[name] for name in point.members))


def test_the_front_by_hand() -> None:
    made = [FrontierPoint({}, cost, score) for cost, score in [(3, 0.5), (1, 0.9), (2, 0.95), (3, 0.4), (4, 0.4)]]
    assert [(p.cost, p.score) for p in pareto(made, gain=False)] == [(1, 0.9), (3, 0.4)]
    assert [(p.cost, p.score) for p in pareto(made, gain=True)] == [(1, 0.9), (2, 0.95)]


def test_a_cascade_asks_dear_members_about_open_rows_alone() -> None:
    found = cascade(blend(MEMBERS, Y), COSTS, budget=6)
    assert found.order[0] == "m2" and found.cost <= 6
    seen: list[int] = []

    def dear(name: str) -> Any:
        def ask(rows: np.ndarray) -> np.ndarray:
            seen.extend(rows.tolist())
            return MEMBERS[name][rows]

        return ask

    ask = {name: MEMBERS[name] if name == found.order[0] else dear(name) for name in found.order}
    p, asked = found.predict(ask)
    assert 0 < len(set(seen)) < 500 and len(set(seen)) == np.count_nonzero(asked > 1)
    arrays, again = found.predict(MEMBERS)
    assert np.array_equal(p, arrays) and np.array_equal(asked, again)
    costs = np.cumsum([COSTS[name] for name in found.order])
    assert found.cost == pytest.approx(costs[asked - 1].mean())
    full = cascade(blend(MEMBERS, Y), COSTS, budget=100)
    assert full.score < found.score, "more money, less loss"


def test_a_cascade_by_hand() -> None:
    made = Cascade(("a", "b"), (0.8,), (0, 1), 0, 0)
    p, asked = made.predict({"a": np.array([0.9, 0.6, 0.1]), "b": np.array([0.0, 0.2, 0.0])})
    assert p.tolist() == [0.9, 0.4, 0.1] and asked.tolist() == [1, 2, 1]


def test_wrong_costs_and_budgets_are_one_sentence() -> None:
    found = blend(MEMBERS, Y)
    with pytest.raises(ParameterError, match="costs: member 'm1' needs a cost above 0, got None"):
        frontier(found, {"m0": 1.0, "m2": 1, "m3": 1})
    with pytest.raises(ParameterError, match="budget 0.5 is less than the cheapest member"):
        cascade(found, COSTS, budget=0.5)
    with pytest.raises(ParameterError, match="must be an array over all rows"):
        Cascade(("a",), (), (0, 1), 0, 0).predict({"a": lambda rows: rows})
    with pytest.raises(CompatibilityError, match="does not hold the rows"):
        frontier(Blend.from_json(found.to_json()), COSTS)
