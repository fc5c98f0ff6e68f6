"""A tensor whose rows are gathered from other tensors when it is read."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..errors import CompatibilityError
from .decode import decode
from .dtypes import DTYPES, Bytes
from .tensors import TensorRef

ZERO, MEAN, AVERAGE = -1, -2, -3
"""Kinds of rows that no single tensor owns: zeros, the mean over their owners, the mean of all other rows."""

_DECODED = ("F64", "F32", "F16", "BF16")
_BLOCK = 1 << 18

Index = NDArray[np.int64]


class RowGather(TensorRef):
    """Row r is row `rows[r]` of `sources[which[r]]`, or computed where `which[r]` is ZERO, MEAN or AVERAGE.

    sources: tensors of equal shape beyond the first axis, None where one is not read.
    owners: (sources, rows of the result); for a MEAN row the row of each source that takes part, -1 for the others.
    AVERAGE rows stand at the end; they hold the mean of all rows before them, read once when first needed.

    The result has the type of the rows it reads; types that differ meet in the wider one. Runs of consecutive rows are read
    together, so that a whole identity costs one read. Means are taken in float32 (float64 for F64; the AVERAGE in float64)
    and rounded once, to nearest even.
    Raises CompatibilityError for rows of different shapes and for means of types that have no arithmetic here.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[TensorRef | None],
        which: Index,
        rows: Index,
        *,
        owners: Index | None = None,
        stored: str | None = None,
    ) -> None:
        self._sources, self._which, self._rows, self._owners = tuple(sources), which, rows, owners
        used = self._used()
        dtype = _common_dtype(name, used, computed=bool(np.isin(which, (MEAN, AVERAGE)).any()))
        shapes = {ref.shape[1:] for ref in used}
        if len(shapes) > 1:
            raise CompatibilityError(
                f"{name}: rows of {' and '.join(_by(ref) for ref in used)} cannot be mixed, expected equal shapes "
                "beyond the first axis; use models of one width"
            )
        super().__init__(name, (len(which), *shapes.pop()), dtype, stored)
        self._width = self.count // len(which) if len(which) else 0
        self._lock = threading.Lock()
        self._average_row: Bytes | None = None

    def identity(self) -> str:
        arrays = (self._which, self._rows, *(() if self._owners is None else (self._owners,)))
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def _used(self) -> list[TensorRef]:
        numbers = set(np.unique(self._which).tolist())
        if MEAN in numbers and self._owners is not None:
            taking_part = (self._owners[:, self._which == MEAN] >= 0).any(axis=1)
            numbers.update(np.flatnonzero(taking_part).tolist())
        used = [source for k, source in enumerate(self._sources) if k in numbers and source is not None]
        # rows of zeros alone still need a type and a width
        return used or [source for source in self._sources if source is not None][:1]

    def read_into(self, start: int, out: Bytes) -> None:
        size, width = DTYPES[self.dtype].itemsize, self._width
        stop = start + out.nbytes // size
        if stop <= start:
            return
        for first, last in self._runs(start // width, -(-stop // width)):
            low, high = max(first * width, start), min(last * width, stop)
            self._fill(first, low, high, out[(low - start) * size : (high - start) * size])

    def _runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The stretches of rows [first, last) that one read, or one computation, fills."""
        which, rows = self._which[first:last], self._rows[first:last]
        broken = (which[1:] != which[:-1]) | ((which[1:] >= 0) & (rows[1:] != rows[:-1] + 1))
        edges = [0, *(np.flatnonzero(broken) + 1).tolist(), last - first]
        for a, b in pairwise(edges):
            yield first + a, first + b

    def _fill(self, first: int, low: int, high: int, out: Bytes) -> None:
        """Fill `out` with the elements [low, high) of the run that begins with row `first`."""
        kind = int(self._which[first])
        if kind >= 0:
            skipped = low - first * self._width
            self._copy(kind, int(self._rows[first]) * self._width + skipped, out)
        elif kind == ZERO:
            out[:] = 0
        elif kind == MEAN:
            self._fill_means(low, high, out)
        else:
            row = self._average().reshape(self._width, -1)
            out[:] = row[np.arange(low, high) % self._width].reshape(-1)

    def _copy(self, k: int, start: int, out: Bytes) -> None:
        source = self._source(k)
        if source.dtype == self.dtype:
            source.read_into(start, out)
        else:
            count = out.nbytes // DTYPES[self.dtype].itemsize
            out[:] = _encode(decode(source.read(start, start + count), source.dtype), self.dtype)

    def _fill_means(self, low: int, high: int, out: Bytes) -> None:
        assert self._owners is not None
        width, size = self._width, DTYPES[self.dtype].itemsize
        for row in range(low // width, -(-high // width)):
            a, b = max(row * width, low), min((row + 1) * width, high)
            total: NDArray[np.floating] = np.zeros(b - a, np.float64 if self.dtype == "F64" else np.float32)
            owners = np.flatnonzero(self._owners[:, row] >= 0).tolist()
            for k in owners:
                source, at = self._source(k), (int(self._owners[k, row]) - row) * width
                total = total + decode(source.read(at + a, at + b), source.dtype)
            out[(a - low) * size : (b - low) * size] = _encode(total / len(owners), self.dtype)

    def _average(self) -> Bytes:
        with self._lock:
            if self._average_row is None:
                width = self._width
                rows = int(np.count_nonzero(self._which != AVERAGE))
                step = max(1, _BLOCK // width)
                total = np.zeros(width, np.float64)
                for first in range(0, rows, step):
                    last = min(first + step, rows)
                    block = decode(self.read(first * width, last * width), self.dtype)
                    total += block.reshape(last - first, width).sum(axis=0, dtype=np.float64)
                self._average_row = _encode(total / max(rows, 1), self.dtype)
            return self._average_row

    def _source(self, k: int) -> TensorRef:
        source = self._sources[k]
        if source is None:
            raise CompatibilityError(f"{self.name}: a row is needed from input {k}, which lacks this tensor")
        return source


def _common_dtype(name: str, used: Sequence[TensorRef], *, computed: bool) -> str:
    tags = {ref.dtype for ref in used}
    if len(tags) == 1 and (not computed or tags <= set(_DECODED)):
        return tags.pop()
    if not tags <= set(_DECODED):
        raise CompatibilityError(
            f"{name}: rows of {' and '.join(_by(ref) for ref in used)} cannot be averaged or mixed, "
            f"expected one of {', '.join(_DECODED)}; convert the checkpoint first"
        )
    return "F64" if "F64" in tags else "F32"


def _by(ref: TensorRef) -> str:
    return f"{'x'.join(map(str, ref.shape))} {ref.dtype}"


def _encode(values: NDArray[np.floating], tag: str) -> Bytes:
    """The bytes of the values, rounded to nearest even; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        if tag != "BF16":
            return values.astype({"F64": np.float64, "F32": np.float32, "F16": np.float16}[tag]).view(np.uint8)
        single = np.ascontiguousarray(values, np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded).view(np.uint8)
