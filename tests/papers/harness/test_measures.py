"""Measures: each by hand on three conditions and two seeds."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.harness.measures import Measure, average, every, gap, joined, largest, overall, smallest, value, worst
from modelweave.papers.harness.rows import Rows

TABLE = {0: {"a": 3.0, "b": 1.0, "c, n=2": 0.5, "a, n=2": 0.25}, 1: {"a": 5.0, "b": 6.0, "c, n=2": 8.0, "a, n=2": 2.0}}
ROWS = Rows([{"seed": seed, "condition": name, "x": x, "y": -x} for seed, found in TABLE.items() for name, x in found.items()], "x")


@pytest.mark.parametrize(
    ("measure", "expected", "signed"),
    [
        (value("a"), [3, 5], False),
        (value("a", "y"), [-3, -5], False),
        (gap("a", "b"), [2, -1], True),
        (gap("c", "a", at="n=2"), [0.25, 6], True),
        (gap("a", largest("b", "c, n=2")), [2, -3], True),
        (largest("a", "b"), [3, 6], False),
        (smallest("a", "b", column="y"), [-3, -6], False),
        (average("a", "b"), [2, 5.5], False),
        (largest(gap("a", "b"), gap("b", "a")), [2, 1], True),
        (value("a") / value("b"), [3, 5 / 6], False),
        (value("a") / 2 - 1, [0.5, 1.5], True),
        (-value("a"), [-3, -5], True),
        (abs(gap("a", "b")), [2, 1], False),
        (every("x"), [3, 1, 0.5, 0.25, 5, 6, 8, 2], False),
        (worst("x"), [3, 8], False),
        (joined(value("b"), value("a")), [1, 6, 3, 5], False),
        (overall(np.mean, gap("a", "b"), gap("b", "a")), [0], True),
    ],
)
def test_measures_by_hand(measure: Measure, expected: list[float], signed: bool) -> None:
    assert measure.of(ROWS).tolist() == pytest.approx(expected)
    assert measure.signed is signed
    assert measure.of(ROWS).tolist() == measure.of(ROWS).tolist()


def test_cells_that_are_not_there_are_left_out() -> None:
    rows = Rows([{"seed": 0, "condition": "a", "x": 1.0}, {"seed": 0, "condition": "b", "x": None}, {"seed": 0, "condition": "c"}])
    assert every("x").of(rows).tolist() == [1.0]
    with pytest.raises(KeyError):
        rows.value("c", "x")
