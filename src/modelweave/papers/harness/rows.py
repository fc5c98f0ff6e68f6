"""What an experiment measured: rows of plain numbers and words, asked by condition and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
Values = NDArray[np.float64]
"""One number a seed, as a rule."""


class Rows:
    """The rows of all seeds; a condition stands once in each seed.

    column: the one that is meant where none is named.

    >>> rows = Rows([{"seed": s, "condition": c, "x": x} for s, c, x in ((0, "a", 3), (0, "b", 1), (1, "a", 5), (1, "b", 6))], "x")
    >>> rows.gap("a", "b")
    array([ 2., -1.])
    """

    def __init__(self, rows: Sequence[Row], column: str = "") -> None:
        self.column = column
        self._seeds: dict[int, list[Row]] = {}
        for row in rows:
            self._seeds.setdefault(row["seed"], []).append(row)

    def value(self, condition: str, column: str = "") -> Values:
        """That cell of each seed."""
        of_condition = ({row["condition"]: row for row in found}[condition] for found in self._seeds.values())
        return np.array([float(row[column or self.column]) for row in of_condition])

    def gap(self, better: str, worse: str, column: str = "") -> Values:
        """By how much a condition is above another, for each seed."""
        return self.value(better, column) - self.value(worse, column)

    def cells(self, column: str) -> list[Values]:
        """For each seed the column's cells, whatever their condition."""
        return [np.array([float(row[column]) for row in found if row.get(column) is not None]) for found in self._seeds.values()]
