"""Task arithmetic by hand."""

from __future__ import annotations

from .helpers import merged_rows


def test_task_arithmetic_by_hand() -> None:
    assert merged_rows([(3, 5), (2, 2)], [1, 2], method="task_arithmetic", weight=[0.5, 2], scale=0.1) == [1.3, 2.15]
