"""Each member's part, by hand and by brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from modelweave import blend
from modelweave.outputs.predictions.explain import error_correlation, explain, shapley_values
from modelweave.outputs.predictions.intake import make_pool
from modelweave.outputs.predictions.metrics import METRICS

from .slow import make_members, make_numbers


def test_squared_errors_have_the_ambiguity_decomposition() -> None:
    members, y = make_numbers(0)
    found = blend(members, y, metric="mse", method="simplex", fall_back=False)
    told = found.explain()
    weights = np.array(list(found.weights.values()))
    stack = np.stack(list(members.values()))
    mean = weights @ stack
    assert told.blend_loss == pytest.approx(np.mean((mean - y) ** 2))
    assert told.mean_member_loss == pytest.approx(weights @ np.mean((stack - y) ** 2, axis=1))
    assert told.diversity == pytest.approx(np.mean(weights @ (stack - mean) ** 2)), "Krogh and Vedelsby 1995"
    assert told.disagreement is None and told.knowledge is None


def test_log_loss_has_jensens_gap() -> None:
    members, y = make_members(0)
    told = blend(members, y).explain()
    assert told.diversity >= 0 and told.knowledge is not None and told.knowledge >= 0
    same = blend({"a": members["m0"], "b": members["m0"] + 0}, y).explain()
    assert same.diversity == pytest.approx(0, abs=1e-12) and same.disagreement == 0 and same.knowledge == pytest.approx(0, abs=1e-12)


def test_members_one_by_one() -> None:
    members, y = make_members(1)
    pool, codes, _ = make_pool(members, y)
    told = explain(pool, codes, METRICS["log_loss"], np.array([0.5, 0.3, 0.2]))
    stack = np.stack(pool.values)

    def loss(*weights: float) -> float:
        return METRICS["log_loss"].loss(codes, np.tensordot(np.array(weights), stack, axes=1))

    assert [story.alone for story in told.members] == pytest.approx([loss(1, 0, 0), loss(0, 1, 0), loss(0, 0, 1)])
    assert told.members[0].loss_without == pytest.approx(loss(0, 0.6, 0.4) - loss(0.5, 0.3, 0.2))
    assert sum(story.wins for story in told.members) == pytest.approx(1)
    truth = np.take_along_axis(stack, codes[None, :, None], axis=2)[:, :, 0]
    assert told.members[2].wins == pytest.approx(np.mean(truth.argmax(axis=0) == 2))
    share = np.bincount(codes) / len(codes)
    entropy = -np.sum(share * np.log(share))
    assert sum(story.shapley for story in told.members) == pytest.approx(entropy - loss(1 / 3, 1 / 3, 1 / 3))
    assert told.members[1].agreement == pytest.approx(told.correlation[1, 0])


def test_shapley_values_by_all_orders() -> None:
    table = {
        frozenset(s): value
        for s, value in [((), 5.0), ((0,), 3.0), ((1,), 4.0), ((2,), 5.0), ((0, 1), 1.0), ((0, 2), 3.0), ((1, 2), 2.5), ((0, 1, 2), 0.5)]
    }
    expected = np.zeros(3)
    for order in permutations(range(3)):
        for place, i in enumerate(order):
            expected[i] += (table[frozenset(order[:place])] - table[frozenset(order[: place + 1])]) / 6
    assert shapley_values(lambda order: [table[frozenset(order)]], 3, 5.0) == pytest.approx(expected)
    # twelve members are sampled; of a sum of parts every order says the same
    parts = np.arange(12.0)
    found = shapley_values(lambda order: 100 - np.cumsum(parts[list(order)]), 12, 100.0)
    assert found == pytest.approx(parts)


def test_correlation_of_errors() -> None:
    y = np.array([0.0, 0.0, 0.0, 0.0])
    stack = np.array([[1.0, -1, 1, -1], [2.0, -2, 2, -2], [-1.0, 1, -1, 1], [0.0, 0, 0, 0]])
    found = error_correlation(stack, y)
    assert found[0] == pytest.approx([1, 1, -1, 0]) and found[3] == pytest.approx([0, 0, 0, 1])
