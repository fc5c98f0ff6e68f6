"""Bounds: what lies inside, and the words that are made from them."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.harness.checks import (
    Bound,
    above,
    at_least,
    at_most,
    below,
    between,
    claim,
    control,
    exactly,
    report,
    within,
)
from modelweave.papers.harness.measures import gap, overall, value
from modelweave.papers.harness.rows import Rows

GAP, VALUE = gap("a", "b"), value("a")


@pytest.mark.parametrize(
    ("bound", "inside", "outside", "words"),
    [
        (at_least(0.05), [0.05, 0.1], [0.04, 0.1], ">= +0.05 each"),
        (at_least(0.05, "on average"), [0.0, 0.1], [0.0, 0.09], ">= +0.05 on average"),
        (above(0), [0.1, 1e-9], [0.0, 1.0], "> 0 each"),
        (at_most(-0.5), [-0.5, -1.0], [-0.4, -1.0], "<= -0.5 each"),
        (below(0.95, "on average"), [0.9, 0.9], [0.9, 1.0], "< +0.95 on average"),
        # by hand: 0.3 and 0.5 have the mean 0.4 and the half width 12.706 * 0.1
        (above(-0.8707, "in the 95 % interval"), [0.3, 0.5], [0.2, 0.5], "> -0.8707 in the 95 % interval"),
        (within(0.01), [-0.01, 0.01], [-0.02, 0.0], "within 0.01 each"),
        (between(0.44, 0.56), [0.44, 0.56], [0.43, 0.5], "in [0.44, 0.56] each"),
        (exactly(0), [0.0, 0.0], [0.0, 1e-12], "exactly 0 each"),
        (exactly(500, but_for=1e-6), [500.0, 500 + 1e-7], [500.0, 500.001], "+500 each"),
    ],
)
def test_bounds_by_hand(bound: Bound, inside: list[float], outside: list[float], words: str) -> None:
    assert bound.holds(np.array(inside)) and not bound.holds(np.array(outside))
    assert bound.words(GAP) == words
    assert bound.words(VALUE) == words.replace("+", "")
    assert bound.words(overall(np.mean, GAP)) == words.removesuffix(f" {bound.over}"), "of one number all are the same"


def test_what_is_not_a_number_is_within_no_bound() -> None:
    assert not any(bound.holds(np.array([np.nan])) for bound in (at_least(0), below(0), within(1), exactly(0)))


def test_a_check_compares_and_says_what_it_expected() -> None:
    rows = Rows([{"seed": seed, "condition": name, "x": x} for seed, name, x in ((0, "a", 2), (0, "b", 1), (1, "a", 3), (1, "b", 3))], "x")
    found = claim("a - b", GAP, at_least(0.5, "on average"), above(0)).judge(rows)
    assert (found.expected, found.got, found.holds, found.kind) == (">= +0.5 on average, > 0 each", (1.0, 0.0), False, "claim")
    assert control("a - b", GAP, below(2)).judge(rows).holds
    open_ended, hoped_for = (report("a - b", GAP, *bounds).judge(rows) for bounds in ((), (above(1),)))
    assert (open_ended.expected, open_ended.holds) == ("no claim", True)
    assert (hoped_for.expected, hoped_for.holds) == ("no claim: > +1 each", False)
