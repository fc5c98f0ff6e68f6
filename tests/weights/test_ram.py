"""Reinforced agent merging by hand."""

from __future__ import annotations

from .helpers import merged_rows


def test_reinforced_agents_by_hand() -> None:
    rows = [(1, 2, 0), (3, 0, 0)]
    assert merged_rows(rows, [0, 0, 0], method="ram") == [2, 2, 0]
    # the first shares 1 change and has 1 of its own: factor 1 + 0.5 * min(1, 0.4); the second has none of its own
    assert merged_rows(rows, [0, 0, 0], method="ramplus_tl", r=0.5, alpha=0.4) == [2, 2.4, 0]
