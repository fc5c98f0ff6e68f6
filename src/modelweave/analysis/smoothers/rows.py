"""The rows of a smoother's matrix S at some queries, made a block at a time: prediction = S y."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = Any
"""A NumPy array, or a sparse array of scipy."""
MEMORY = 64 << 20
"""Bytes that one block of rows may take."""


class SmootherRows(ABC):
    """S at m queries over n training rows: shape is (m, n)."""

    shape: tuple[int, int]

    @abstractmethod
    def block(self, start: int, stop: int) -> Matrix:
        """Rows start to stop, dense or sparse."""

    @abstractmethod
    def times(self, targets: Floats) -> Floats:
        """S y for targets of shape (n, outputs), without making S."""

    def row_bytes(self) -> NDArray[np.int64]:
        """(m,) at most so many bytes are needed to make each row."""
        return np.full(self.shape[0], 8 * self.shape[1], np.int64)

    def spans(self, memory: int = MEMORY) -> Iterator[tuple[int, int]]:
        """Blocks that cover all rows, each within `memory` bytes, or one row."""
        yield from spans(self.row_bytes(), memory)

    def squares(self, memory: int = MEMORY) -> float:
        """Sum over the queries of |s(x)|^2."""
        return sum(sum_of_squares(self.block(start, stop)) for start, stop in self.spans(memory))


def spans(sizes: NDArray[np.int64], memory: int) -> Iterator[tuple[int, int]]:
    """Consecutive blocks whose sizes add up to `memory` at most; a single item may be larger.

    >>> list(spans(np.array([3, 3, 3, 9, 1]), 6))
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        used = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, used + memory, side="right")))
        yield start, stop
        start = stop


def is_sparse(matrix: Matrix) -> bool:
    """Whether this is a sparse matrix or array of scipy."""
    return hasattr(matrix, "tocsr")


def dense(matrix: Matrix) -> Floats:
    """The same as a NumPy array."""
    return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix, dtype=np.float64)


def sum_of_squares(matrix: Matrix) -> float:
    """Sum of the squares of all entries."""
    values = np.ravel(matrix.data if is_sparse(matrix) else matrix)
    return float(np.dot(values, values))


def entries_by_row(matrix: Matrix) -> NDArray[np.int64]:
    """How many entries each row stores."""
    if is_sparse(matrix):
        return np.asarray(np.diff(matrix.tocsr().indptr), dtype=np.int64)
    return np.full(matrix.shape[0], matrix.shape[1], np.int64)


_DENSE_GAIN = 300
"""About how many multiplications of dense matrices take as long as one of sparse ones."""


def inner_cost(matrix: Matrix) -> float:
    """How long `inner_products` takes, in sparse multiplications."""
    count, size = matrix.shape
    return float(min(np.sum(entries_by_row(matrix).astype(np.float64) ** 2), count * size * size / _DENSE_GAIN))


def inner_products(matrix: Matrix, memory: int = MEMORY) -> Matrix:
    """matrix^T matrix, (k, k) for a matrix of shape (rows, k): dense, by blocks of rows, or sparse, whichever is quicker."""
    count, size = matrix.shape
    matrix = matrix.tocsr() if is_sparse(matrix) else matrix
    if is_sparse(matrix) and np.sum(entries_by_row(matrix) ** 2) < count * size * size / _DENSE_GAIN:
        return matrix.T @ matrix
    total = np.zeros((size, size))
    for start, stop in spans(np.full(count, 8 * size, np.int64), memory // 2):
        part = dense(matrix[start:stop])
        total += part.T @ part
    return total


@dataclass(frozen=True)
class Factored(SmootherRows):
    """S = left right, of shapes (m, k) and (k, n), each dense or in compressed rows; without `right`, S = left."""

    left: Matrix
    right: Matrix | None = None

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.left.shape[0], (self.left if self.right is None else self.right).shape[1]

    def block(self, start: int, stop: int) -> Matrix:
        part = self.left[start:stop]
        return part if self.right is None else part @ self.right

    def times(self, targets: Floats) -> Floats:
        return np.asarray(self.left @ (targets if self.right is None else self.right @ targets))

    def products(self) -> NDArray[np.int64]:
        """(m,) multiplications that make each row."""
        own = entries_by_row(self.left)
        if self.right is None:
            return own
        if not is_sparse(self.left):
            return np.full(len(own), entries_by_row(self.right).sum())
        pattern = self.left.copy()
        pattern.data = np.ones_like(pattern.data, dtype=np.int64)
        return np.asarray(pattern @ entries_by_row(self.right), dtype=np.int64)

    def row_bytes(self) -> NDArray[np.int64]:
        stored = 16 if is_sparse(self.left) and (self.right is None or is_sparse(self.right)) else 8
        return stored * np.minimum(self.products(), self.shape[1])

    def squares(self, memory: int = MEMORY) -> float:
        """trace(S S^T) = sum of (left^T left) * (right right^T) needs no rows of length n: it pays where leaves are few and large."""
        if self.right is None or not self._inner_products_are_cheaper(memory):
            return super().squares(memory)
        mine, theirs = inner_products(self.left, memory), inner_products(self.right.T, memory)
        if is_sparse(mine) or is_sparse(theirs):
            one, other = (mine, theirs) if is_sparse(mine) else (theirs, mine)
            return float(one.multiply(other).sum())
        return float(np.vdot(mine, theirs))

    def _inner_products_are_cheaper(self, memory: int) -> bool:
        assert self.right is not None
        size = self.left.shape[1]
        cost = inner_cost(self.left) + inner_cost(self.right.T)
        return bool(24 * size * size <= memory and cost < float(self.products().sum()))


@dataclass(frozen=True)
class Mixed(SmootherRows):
    """S = sum_j weights_j S_j."""

    parts: Sequence[SmootherRows]
    weights: Sequence[float]

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.parts[0].shape

    def block(self, start: int, stop: int) -> Matrix:
        total = np.zeros((stop - start, self.shape[1]))
        for part, weight in zip(self.parts, self.weights, strict=True):
            total += weight * dense(part.block(start, stop))
        return total

    def times(self, targets: Floats) -> Floats:
        parts = [weight * part.times(targets) for part, weight in zip(self.parts, self.weights, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    def row_bytes(self) -> NDArray[np.int64]:
        largest = np.max([part.row_bytes() for part in self.parts], axis=0)
        return np.asarray(largest + 16 * self.shape[1], dtype=np.int64)


def mixed(parts: Sequence[SmootherRows], weights: Sequence[float]) -> SmootherRows:
    """sum_j weights_j S_j, in factors where all parts are sparse factors."""
    factors = [part for part in parts if isinstance(part, Factored)]
    if len(factors) < len(parts) or not all(is_sparse(part.left) and is_sparse(part.right) for part in factors):
        return Mixed(parts, weights)
    from scipy.sparse import hstack, vstack

    left = hstack([weight * part.left for part, weight in zip(factors, weights, strict=True)], format="csr")
    return Factored(left, vstack([part.right for part in factors], format="csr"))
