"""One tensor of a base with a low-rank product added when it is read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..decode import decode
from ..dtypes import DTYPES, Bytes
from ..tensors import TensorRef

Matrix = NDArray[np.floating[Any]]
TILE = 1 << 16
"""Elements of one product. Tiles stand at fixed places, so that results do not depend on how the tensor is cut for reading."""
_KEPT_FACTORS = 8


class Factor:
    """A matrix of an adapter, read as rows x columns, or transposed."""

    def __init__(self, ref: TensorRef, rows: int, columns: int, *, transposed: bool = False) -> None:
        self.ref, self.rows, self.columns, self.transposed = ref, rows, columns, transposed

    def read(self, kind: Any) -> Matrix:
        values = decode(self.ref.read(), self.ref.dtype).reshape(self.rows, self.columns)
        return np.ascontiguousarray(values.T if self.transposed else values, kind)


class FactorCache:
    """The factors that were used last, shared by the tensors of one adapter."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Matrix, Matrix]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tensor: AdapterTensor) -> tuple[Matrix, Matrix]:
        with self._lock:
            found = self._kept.get(tensor.name)
            if found is None:
                kind = np.float64 if tensor.dtype == "F64" else np.float32
                left = tensor.left.read(kind)
                right = np.ones((1, 1), kind) if tensor.right is None else tensor.right.read(kind)
                found = self._kept[tensor.name] = (left, right)
                while len(self._kept) > _KEPT_FACTORS:
                    self._kept.popitem(last=False)
            return found


class AdapterTensor(TensorRef):
    """base + scale * (left @ right), seen as a matrix of shape[0] rows.

    left: (rows, rank). right: (rank, columns), None for a vector, whose left has one column.
    Computed in float32, in float64 for a base of F64, and delivered so; `stored` is the base's own type.
    """

    def __init__(self, base: TensorRef, left: Factor, right: Factor | None, scale: float, cache: FactorCache, name: str = "") -> None:
        super().__init__(name or base.name, base.shape, "F64" if base.dtype == "F64" else "F32", base.stored)
        self.base, self.left, self.right, self.scale, self._cache = base, left, right, scale, cache
        self._rows = base.shape[0]
        self._columns = base.count // max(1, self._rows)

    def read_into(self, start: int, out: Bytes) -> None:
        item = DTYPES[self.dtype].itemsize
        count = out.nbytes // item
        if not count:
            return
        result: Matrix = out.view(np.float64 if item == 8 else np.float32)
        result[:] = decode(self.base.read(start, start + count), self.base.dtype)
        left, right = self._cache.get(self)
        width = self._columns
        step = max(1, TILE // width)
        for first in range(start // width // step * step, -(-(start + count) // width), step):
            last = min(first + step, self._rows)
            product = (left[first:last] @ right).reshape(-1)
            product *= product.dtype.type(self.scale)
            low, high = max(start, first * width), min(start + count, last * width)
            part = result[low - start : high - start]
            np.add(part, product[low - first * width : high - first * width], out=part)


class Replaced(TensorRef):
    """A tensor of an adapter that stands in for the base's, under the base's name and declared type."""

    def __init__(self, ref: TensorRef, base: TensorRef) -> None:
        super().__init__(base.name, ref.shape, ref.dtype, base.stored)
        self.ref = ref

    def read_into(self, start: int, out: Bytes) -> None:
        self.ref.read_into(start, out)
