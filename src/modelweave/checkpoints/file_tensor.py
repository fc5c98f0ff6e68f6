"""Tensors whose elements stand in a byte source: in order, or with strides."""

from __future__ import annotations

import math
import threading

import numpy as np

from .dtypes import DTYPES
from .source import ByteSource
from .tensors import Bytes, InFile, TensorRef


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

    offset and strides: in elements. The tensor is gathered at the first read and let go once it has been delivered in full.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, source: ByteSource, offset: int, strides: tuple[int, ...]) -> None:
        super().__init__(name, shape, dtype)
        self.source, self.offset, self.strides = source, offset, strides
        self._lock = threading.Lock()
        self._gathered: Bytes | None = None
        self._left = 0

    def read_into(self, start: int, out: Bytes) -> None:
        at = start * DTYPES[self.dtype].itemsize
        if at < 0 or at + out.nbytes > self.nbytes:
            raise IndexError(f"{self.name}: elements from {start} on exceed its {self.count}")
        with self._lock:
            if self._gathered is None:
                self._gathered, self._left = self._gather(), self.nbytes
            gathered = self._gathered
            self._left -= out.nbytes
            if self._left <= 0:
                self._gathered = None
        out[:] = gathered[at : at + out.nbytes]

    def _gather(self) -> Bytes:
        size = DTYPES[self.dtype].itemsize
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        span = np.empty((last + 1) * size, np.uint8)
        self.source.read_into(self.offset * size, span)
        items = np.dtype(f"V{size}")
        view = np.lib.stride_tricks.as_strided(span.view(items), self.shape, [s * size for s in self.strides])
        return np.ascontiguousarray(view).reshape(-1).view(np.uint8)


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
