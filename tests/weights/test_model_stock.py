"""Model Stock by hand."""

from __future__ import annotations

import math

import pytest

from .helpers import merged_rows


def test_model_stock_by_hand() -> None:
    # two deltas of norm 1 at 60 degrees: c = 0.5, t = 2 * 0.5 / 1.5 = 2/3
    deltas = [(1, 0), (0.5, math.sqrt(3) / 2)]
    expected = [2 / 3 * 0.75, 2 / 3 * math.sqrt(3) / 4]
    assert merged_rows(deltas, [0, 0], method="model_stock") == pytest.approx(expected)


def test_model_stock_of_opposing_deltas_stays_at_the_base() -> None:
    assert merged_rows([(1, 0), (-1, 0)], [0, 0], method="model_stock") == [0, 0]
