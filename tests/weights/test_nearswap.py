"""NearSwap by hand."""

from __future__ import annotations

from .helpers import merged_rows


def test_nearswap_steps_at_most_t() -> None:
    assert merged_rows([(0.5, -4, 1)], [0, 0, 1], method="nearswap", t=1) == [0.5, -1, 1]
