"""Gradient boosting with squared error as a smoother: each tree averages what the trees before it left over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from .rows import MEMORY, Floats, Matrix, SmootherRows, spans

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Boosted(SmootherRows):
    """S_b = S_{b-1} + rate L_b (I - S_{b-1} at the training rows), where L_b averages over the leaves of tree b.

    train: (trees, n) and query: (trees, m) leaves, counted from 0 in each tree. S_0 is 0, or 1/n everywhere with `mean_init`.
    Rows add up to 1 - (1 - rate)^trees without `mean_init`, and to 1 with it. Source: Curth et al. 2024, arXiv 2402.01502, section 3.
    """

    train: Ids
    query: Ids
    rate: float
    mean_init: bool

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        return self.query.shape[1], self.train.shape[1]

    def row_bytes(self) -> NDArray[np.int64]:
        return np.full(self.shape[0], 4 * 8 * self.shape[1], np.int64)

    def block(self, start: int, stop: int) -> Matrix:
        """From the last tree to the first, so that S at the training rows is never made: z <- z (I - rate A_b) + rate q_b P_b,

        with P_b the means over the leaves (leaves x n), q_b which leaf the queries are in, and A_b = P_b spread over the training rows.
        """
        n = self.shape[1]
        found = np.zeros((n, stop - start))
        queries = np.arange(stop - start)
        for train, query in zip(self.train[::-1], self.query[::-1, start:stop], strict=True):
            in_leaf = _indicator(train)
            sums = in_leaf @ found
            sums[query, queries] -= 1
            sums *= (self.rate / np.asarray(in_leaf.sum(axis=1)))[:, None]
            found -= sums[train]
        if self.mean_init:
            found += (1 - found.sum(axis=0)) / n
        return np.ascontiguousarray(found.T)

    def times(self, targets: Floats) -> Floats:
        fitted = np.zeros((self.shape[0], targets.shape[1]))
        for fitted in self._stages(targets):  # noqa: B007
            pass
        return fitted

    def _stages(self, targets: Floats) -> Iterator[Floats]:
        """S_b y at the queries after each tree. The array is one and the same."""
        start = targets.mean(axis=0) if self.mean_init else np.zeros(targets.shape[1])
        rest = targets - start
        fitted = np.tile(start, (self.shape[0], 1))
        for train, query in zip(self.train, self.query, strict=True):
            in_leaf = _indicator(train)
            step = in_leaf @ rest
            step *= (self.rate / np.asarray(in_leaf.sum(axis=1)))[:, None]
            rest -= step[train]
            fitted += step[query]
            yield fitted

    def squares_by_stage(self, memory: int = MEMORY) -> Floats:
        """(trees,) sum of |s(x)|^2 after each tree. S is made a few columns at a time, as columns do not depend on each other."""
        (m, n), total = self.shape, np.zeros(len(self.train))
        for start, stop in spans(np.full(n, 8 * (2 * n + 2 * m), np.int64), memory):
            columns = np.zeros((n, stop - start))
            columns[np.arange(start, stop), np.arange(stop - start)] = 1
            total += [float(np.vdot(fitted, fitted)) for fitted in self._stages(columns)]
        return total


def boosted(train: Ids, query: Ids, rate: float, mean_init: bool) -> Boosted:
    """The smoother of boosted trees, from leaf ids of shapes (n, trees) and (m, trees).

    Raises CompatibilityError where a query's leaf holds no training row.

    >>> boosted(np.array([[0], [0], [1]]), np.array([[1], [0]]), 0.5, False).block(0, 2)
    array([[0.  , 0.  , 0.5 ],
           [0.25, 0.25, 0.  ]])
    """
    ids = int(max(train.max(initial=0), query.max(initial=0))) + 1
    held = np.zeros((train.shape[1], ids), dtype=bool)
    held[np.arange(train.shape[1]), train] = True
    if not np.take_along_axis(held, query.T, axis=1).all():
        raise CompatibilityError(
            "X_train: some queries fall into leaves without a training row; give the rows that the model was fitted on, in their order"
        )
    places = np.cumsum(held, axis=1) - 1
    own, others = (np.ascontiguousarray(np.take_along_axis(places, leaves.T, axis=1)) for leaves in (train, query))
    return Boosted(own, others, rate, mean_init)


def _indicator(leaves: Ids) -> Matrix:
    """(leaves, n) which training rows are in which leaf."""
    from scipy.sparse import csr_array

    order = np.argsort(leaves, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(leaves))])
    return csr_array((np.ones(len(leaves)), order, starts), shape=(len(starts) - 1, len(leaves)))
