"""Results kept in memory, as one byte array a tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from ..dtypes import DTYPES, Bytes


class MemorySink:
    """Takes tensors into memory; `specs` are (name, shape, dtype tag). side, metadata: what a file beside the weights would hold."""

    def __init__(self, specs: Iterable[tuple[str, tuple[int, ...], str]]) -> None:
        self.specs = {name: (shape, dtype) for name, shape, dtype in specs}
        self.data: dict[str, Bytes] = {
            name: np.zeros(math.prod(shape) * DTYPES[dtype].itemsize, np.uint8) for name, (shape, dtype) in self.specs.items()
        }
        self.side: dict[str, MemorySink] = {}
        self.metadata: dict[str, Mapping[str, str]] = {}

    def is_done(self, name: str) -> bool:
        return False

    def write(self, name: str, start: int, data: Bytes) -> None:
        at = start * DTYPES[self.specs[name][1]].itemsize
        self.data[name][at : at + len(data)] = data

    def room(self, name: str, start: int, count: int) -> AbstractContextManager[Bytes]:
        width = DTYPES[self.specs[name][1]].itemsize
        return nullcontext(self.data[name][start * width : (start + count) * width])

    def notes(self, name: str) -> tuple[str, ...]:
        return ()

    def finish(self, name: str, notes: tuple[str, ...] = ()) -> None:
        """Nothing is left to do."""

    def side_tensors(
        self, stem: str, specs: Iterable[tuple[str, tuple[int, ...], str]], metadata: Mapping[str, str]
    ) -> AbstractContextManager[MemorySink]:
        """A second sink, in place of a file."""
        self.side[stem], self.metadata[stem] = MemorySink(specs), metadata
        return nullcontext(self.side[stem])
