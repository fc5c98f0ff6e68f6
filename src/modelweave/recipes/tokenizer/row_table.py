"""The rule that says which row of which model stands where."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checkpoints.row_gather import AVERAGE, MEAN, ZERO
from .files import Tokenizer

Index = NDArray[np.int64]


class RowTable:
    """The rule that says which row stands where.

    own: (inputs, size), the row that each input owns, -1 for none. fixed: output row to (input or ZERO, row, force).
    base: the input that is asked first for a token that several own, or None. tail: first of the AVERAGE rows.
    """

    def __init__(self, own: Index, fixed: Mapping[int, tuple[int, int, bool]], base: int | None, tail: int) -> None:
        self.own, self.fixed, self.base, self.tail = own, dict(fixed), base, tail
        self._lock = threading.Lock()
        self._fills: dict[tuple[bool, ...], tuple[Index, Index]] = {}

    def of(self, index: int, present: tuple[bool, ...]) -> tuple[Index, Index]:
        """(which, row) of input `index`, where only the inputs that are present lend rows by default."""
        with self._lock:
            if present not in self._fills:
                self._fills[present] = self._fill(present)
            which, row = self._fills[present]
        forced = np.zeros(len(which), bool)
        forced[[r for r, (_, _, force) in self.fixed.items() if force]] = True
        keeps = (self.own[index] >= 0) & ~forced & (np.arange(len(which)) < self.tail)
        return np.where(keeps, index, which), np.where(keeps, self.own[index], row)

    def _fill(self, present: tuple[bool, ...]) -> tuple[Index, Index]:
        """What stands in an input that lacks the token."""
        own = np.where(np.array(present)[:, None], self.own, -1)
        owners = (own >= 0).sum(axis=0)
        which = np.where(owners == 0, ZERO, np.where(owners == 1, (own >= 0).argmax(axis=0), MEAN))
        if self.base is not None:
            which = np.where(own[self.base] >= 0, self.base, which)
        row = np.take_along_axis(own, np.maximum(which, 0)[None], axis=0)[0]
        for r, (k, source_row, _) in self.fixed.items():
            which[r], row[r] = k, source_row
        which[self.tail :] = AVERAGE
        return which, row


def own_rows(tokens: Sequence[str | None], size: int, tokenizer: Tokenizer, rows: int) -> Index:
    """The row that an input owns for each output row, -1 for none; spare rows belong to spare rows with the same number."""
    find: Any = tokenizer.ids.get
    own = np.full(size, -1, np.int64)
    own[: len(tokens)] = np.fromiter((find(token, -1) for token in tokens), np.int64, len(tokens))
    own[own >= rows] = -1
    spare_here = np.ones(size, bool)
    spare_here[: len(tokens)] = [token is None for token in tokens]
    used = np.fromiter(tokenizer.ids.values(), np.int64, len(tokenizer.ids))
    spare_there = np.ones(max(size, rows), bool)
    spare_there[used[used < len(spare_there)]] = False
    spare_there[rows:] = False
    both = np.flatnonzero(spare_here & spare_there[:size])
    own[both] = both
    return own
