"""Named predictions of the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .metrics import Task, true_class

Array = NDArray[Any]
Provenance = Literal["out_of_fold", "hold_out", "in_sample"]


@dataclass(frozen=True)
class Pool:
    """Members' predictions of the same rows.

    values: of each member (rows,) probabilities of the second label or numbers, or (rows, columns). A row that is NaN throughout
    is one that the member does not cover. provenance: of each member, how its predictions came about.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    task: Task
    labels: tuple[Any, ...] = ()
    provenance: tuple[Provenance, ...] = ()

    def __len__(self) -> int:
        return len(self.values[0])

    @property
    def classes(self) -> bool:
        return self.task != "regression"

    @cached_property
    def complete(self) -> Array:
        """(rows,): whether all members cover a row."""
        there = np.ones(len(self), bool)
        for values in self.values:
            there &= covered(values)
        return there

    def take(self, rows: Any) -> Pool:
        """The same members on some of the rows."""
        return replace(self, values=tuple(values[rows] for values in self.values))

    def only(self, places: Sequence[int]) -> Pool:
        """Some of the members."""
        kept = {"names": self.names, "values": self.values, "provenance": self.provenance}
        return replace(self, **{key: tuple(items[i] for i in places) for key, items in kept.items()})  # type: ignore[arg-type]

    def of_truth(self, y: Array) -> Array:
        """(members, rows): the probability that each member gave to what occurred."""
        found = np.empty((len(self.names), len(y)), np.result_type(*self.values))
        other = (1 - y).astype(found.dtype)
        for row, values in zip(found, self.values, strict=True):
            if values.ndim == 1:
                # |p - 1| where the first of two classes occurred, |p - 0| where the second did
                np.abs(np.subtract(values, other, out=row), out=row)
            else:
                row[:] = true_class(y, values)
        return found


def covered(values: Array) -> Array:
    """(rows,): whether a member predicts a row."""
    return ~np.isnan(values if values.ndim == 1 else values[:, 0])


def duplicates(pool: Pool) -> dict[int, int]:
    """Members whose predictions equal an earlier one's, as place to that place."""
    found: dict[int, int] = {}
    seen: dict[bytes, list[int]] = {}
    for place, values in enumerate(pool.values):
        # the ends first: comparing whole arrays is for those that agree there
        mark = np.ascontiguousarray(values[:: max(1, len(values) // 64)]).tobytes()
        for earlier in seen.setdefault(mark, []):
            if np.array_equal(values, pool.values[earlier], equal_nan=True):
                found[place] = earlier
                break
        else:
            seen[mark].append(place)
    return found
