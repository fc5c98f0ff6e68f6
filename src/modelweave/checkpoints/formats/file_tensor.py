"""Tensors whose elements stand in a byte source: in order, or with strides."""

from __future__ import annotations

import math
import mmap
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import DTYPES, Bytes
from ..places.source import ByteSource
from ..tensors import InFile, TensorRef


class FileTensor(TensorRef):
    """Elements in C order from `offset` on; reading copies straight into the destination."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, source: ByteSource, offset: int) -> None:
        super().__init__(name, shape, dtype)
        self.source, self.offset = source, offset

    def read_into(self, start: int, out: Bytes) -> None:
        at = start * DTYPES[self.dtype].itemsize
        if at < 0 or at + out.nbytes > self.nbytes:
            raise IndexError(f"{self.name}: elements from {start} on exceed its {self.count}")
        self.source.read_into(self.offset + at, out)

    def at_hand(self, start: int) -> InFile | None:
        found = self.source.in_file()
        return found and InFile(found.descriptor, found.offset + self.offset + start * DTYPES[self.dtype].itemsize)


class StridedTensor(TensorRef):
    """A view into a storage with other than C order, such as a transpose.

    offset and strides: in elements. A file on this machine is mapped where the disk allows that, so that nothing is held but what the
    system keeps of it anyway; anything else is gathered at the first read and let go once it has been delivered in full.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, source: ByteSource, offset: int, strides: tuple[int, ...]) -> None:
        super().__init__(name, shape, dtype)
        self.source, self.offset, self.strides = source, offset, strides
        self._lock = threading.Lock()
        self._view: NDArray[Any] | None = None
        self._left = 0

    def read_into(self, start: int, out: Bytes) -> None:
        size = DTYPES[self.dtype].itemsize
        count = out.nbytes // size
        if start < 0 or start + count > self.count:
            raise IndexError(f"{self.name}: elements from {start} on exceed its {self.count}")
        if not count:
            return
        with self._lock:
            if self._view is None:
                self._view, self._left = self._opened(), self.nbytes
            view = self._view
            self._left -= out.nbytes
            if self._left <= 0:
                self._view = None
        _copy_flat(view, start, out.view(view.dtype))

    def _opened(self) -> NDArray[Any]:
        size = DTYPES[self.dtype].itemsize
        length = (sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)) + 1) * size
        first = self.offset * size
        span = _mapped(self.source.in_file(), first, length)
        if span is None:
            span = np.empty(length, np.uint8)
            self.source.read_into(first, span)
        items = span.view(np.dtype(f"V{size}"))
        return np.lib.stride_tricks.as_strided(items, self.shape, [s * size for s in self.strides], writeable=False)


def _mapped(file: InFile | None, first: int, length: int) -> Bytes | None:
    """Bytes of an open file without reading them, or None where that cannot be done."""
    if file is None:
        return None
    at = file.offset + first
    begin = at // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    try:
        mapped = mmap.mmap(file.descriptor, at - begin + length, access=mmap.ACCESS_READ, offset=begin)
    except (OSError, ValueError):
        return None
    return np.frombuffer(mapped, np.uint8, length, at - begin)


def _copy_flat(view: NDArray[Any], start: int, out: NDArray[Any]) -> None:
    """The elements of a view from a flat index on, in C order, without an index or a copy of the rest."""
    row = math.prod(view.shape[1:])
    if len(view.shape) <= 1:
        out[:] = view[start : start + len(out)]
        return
    done = 0
    while done < len(out):
        first, skipped = divmod(start + done, row)
        rows = (len(out) - done) // row if not skipped else 0
        if rows:
            out[done : done + rows * row].reshape(rows, *view.shape[1:])[...] = view[first : first + rows]
            done += rows * row
            continue
        size = min(row - skipped, len(out) - done)
        _copy_flat(view[first], skipped, out[done : done + size])
        done += size


def in_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether strides (in elements) are those of C order; axes of length 1 may have any.

    >>> in_order((2, 1, 3), (3, 99, 1)), in_order((3, 2), (1, 3))
    (True, False)
    """
    if math.prod(shape) <= 1:
        return True
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True
