"""Effective parameters: how little a model averages the labels that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from .boosting import Boosted
from .labels import check_identity
from .models import rows_of, rows_or_parts
from .rows import MEMORY, Floats, SmootherRows, dense, is_sparse, sum_of_squares


def effective_parameters(model: Any, X_train: Any, X: Any, y_train: Any = None) -> float:
    """How many parameters a smoother spends at the rows X: p0 = (n / |X|) * sum over x in X of |s(x)|^2, n = len(X_train).

    A prediction is sum_i s_i(x) y_i. p0 is 1 for the mean of all labels and n for a model that repeats a single one; k nearest neighbours
    have n / k, least squares the number of its columns (on the training rows). Compare p0 on the training rows with p0 on new rows.

    S is held a block of rows at a time, 64 MiB at most (a single row may be larger).

    Args:
        model: A fitted tree, forest, extra trees, bagging of these, GradientBoostingRegressor (squared error), nearest neighbours,
            LinearRegression, Ridge, DummyRegressor (mean), voting over these, a pipeline that ends in one, a `Combination`, a function
            X -> S, or S itself (|X| x n).
        X_train: (n, features), the rows that it was fitted on, in their order.
        X: (|X|, features), the rows to look at.
        y_train: (n,) or (n, outputs), its labels; where given, S y_train must be what the model predicts.

    Returns:
        p0, at least 0.

    Raises:
        ParameterError: For a model that is no smoother.
        CompatibilityError: For rows or labels that do not fit it.

    Source: Curth, Jeffares and van der Schaar 2024, arXiv 2402.01502, section 3.

    >>> everyone = np.full((4, 8), 1 / 8)
    >>> effective_parameters(everyone, np.zeros((8, 1)), np.zeros((4, 1)))
    1.0
    """
    rows = rows_of(model, X_train, X)
    if y_train is not None:
        check_identity(model, rows, X, y_train)
    return _p0(rows.squares(), rows)


def smoother_weights(model: Any, X_train: Any, X: Any) -> Floats:
    """S, dense: row j holds what each training label weighs in the prediction at X[j], so that S y_train is the prediction.

    `smoother_blocks` gives the same a few rows at a time.

    Args:
        model: as for `effective_parameters`.
        X_train: (n, features), the rows that it was fitted on, in their order.
        X: (|X|, features), the rows to look at.

    Returns:
        (|X|, n), 8 bytes each.

    Raises:
        ParameterError: for a model that is no smoother.
        CompatibilityError: for rows that do not fit it.

    Source: Curth, Jeffares and van der Schaar 2024, arXiv 2402.01502, section 3.

    >>> smoother_weights(lambda X: np.full((len(X), 2), 0.5), np.zeros((2, 1)), np.zeros((1, 1)))
    array([[0.5, 0.5]])
    """
    rows = rows_of(model, X_train, X)
    found = np.empty(rows.shape)
    for start, stop in rows.spans():
        found[start:stop] = dense(rows.block(start, stop))
    return found


def smoother_blocks(model: Any, X_train: Any, X: Any, *, memory: int = MEMORY) -> Iterator[tuple[slice, Floats]]:
    """S a few rows at a time.

    Args:
        model: as for `effective_parameters`.
        X_train: (n, features), the rows that it was fitted on, in their order.
        X: (|X|, features), the rows to look at.
        memory: bytes that a dense block may take, at least 1; a block holds one row at least.

    Yields:
        Which rows of X, and their weights, (rows, n).

    Raises:
        ParameterError: for a model that is no smoother, and for memory.
        CompatibilityError: for rows that do not fit it.

    >>> [where for where, _ in smoother_blocks(np.eye(3), np.zeros((3, 1)), np.zeros((3, 1)), memory=48)]
    [slice(0, 2, None), slice(2, 3, None)]
    """
    if memory < 1:
        raise ParameterError(f"memory must be 1 byte or more, got {memory}")
    return _blocks(rows_of(model, X_train, X), memory)


def _blocks(rows: SmootherRows, memory: int) -> Iterator[tuple[slice, Floats]]:
    each = max(1, memory // max(8 * rows.shape[1], int(rows.row_bytes().max())))
    for start in range(0, rows.shape[0], each):
        stop = min(start + each, rows.shape[0])
        yield slice(start, stop), dense(rows.block(start, stop))


def effective_curve(model: Any, X_train: Any, X: Any) -> Floats:
    """p0 at the rows X as members are added in their order.

    Members are the trees of a forest, the members of bagging, of voting and of a `Combination` (weights of the first b rescaled to add up
    to 1), or the stages of gradient boosting.

    Args:
        model: with members, as for `effective_parameters`.
        X_train: (n, features), the rows that it was fitted on, in their order.
        X: (|X|, features), the rows to look at.

    Returns:
        (members,); entry b - 1 is p0 of the first b members.

    Raises:
        ParameterError: for a model that is no smoother or has no members.
        CompatibilityError: for rows that do not fit it.

    Source: Curth, Jeffares and van der Schaar 2024, arXiv 2402.01502, section 3.

    >>> from modelweave.analysis.smoothers.combination import Combination
    >>> effective_curve(Combination([np.eye(2), np.eye(2)[::-1]]), np.zeros((2, 1)), np.zeros((2, 1)))
    array([2., 1.])
    """
    found = rows_or_parts(model, X_train, X)
    if isinstance(found, Boosted):
        return found.squares_by_stage() * found.shape[1] / found.shape[0]
    if isinstance(found, SmootherRows):
        raise ParameterError(f"model is a {type(model).__name__}, which has no members to add; use effective_parameters")
    members, weights = found
    queries, count = members[0].shape
    shares = np.cumsum(weights)
    if np.any(shares == 0):
        raise ParameterError("weights of the first members add up to 0, so that there is no curve; put the members in another order")
    total = np.zeros(len(members))
    each = max(1, MEMORY // (32 * count))
    for start in range(0, queries, each):
        total += _running_squares(members, weights, start, min(start + each, queries))
    return np.asarray(total / shares**2 * (count / queries))


def _running_squares(members: list[SmootherRows], weights: list[float], start: int, stop: int) -> Floats:
    """Sum of squares of the weighted sums of the first 1, 2, ... members, touching only what a member adds."""
    running, squares, total = np.zeros((stop - start, members[0].shape[1])), 0.0, []
    for member, weight in zip(members, weights, strict=True):
        part = member.block(start, stop)
        if is_sparse(part):
            part = part.tocoo()
            there, added = (part.row, part.col), weight * part.data
            squares += 2 * float(running[there] @ added) + float(added @ added)
            running[there] += added
        else:
            running += weight * part
            squares = sum_of_squares(running)
        total.append(squares)
    return np.array(total)


@dataclass(frozen=True)
class SmootherSummary:
    """p0 on the training rows and at queries, the trace of S on the training rows, and the range of the sums of rows at the queries."""

    p0_train: float
    p0_query: float
    trace: float
    row_sums: tuple[float, float]

    @property
    def gap(self) -> float:
        """p0_train - p0_query: above 0 where a model averages more at new rows than at its training rows."""
        return self.p0_train - self.p0_query


def summarize_smoother(model: Any, X_train: Any, X: Any, y_train: Any = None) -> SmootherSummary:
    """p0 on both sets of rows, their gap, and trace(S), which for forests tells little about p0.

    Args:
        model: as for `effective_parameters`, but not S itself, which has rows for one set only.
        X_train: (n, features), the rows that it was fitted on, in their order.
        X: (|X|, features), the rows to look at.
        y_train: (n,) or (n, outputs), its labels; where given, S y_train must be what the model predicts.

    Raises:
        ParameterError: for a model that is no smoother.
        CompatibilityError: for rows or labels that do not fit it.

    Source: Curth, Jeffares and van der Schaar 2024, arXiv 2402.01502, section 3.

    >>> summarize_smoother(lambda X: np.full((len(X), 4), 0.25), np.zeros((4, 1)), np.zeros((2, 1)))
    SmootherSummary(p0_train=1.0, p0_query=1.0, trace=1.0, row_sums=(1.0, 1.0))
    """
    if isinstance(model, np.ndarray) or is_sparse(model):
        raise CompatibilityError("model is an array S, which has rows for one set only; give a function X -> S")
    own, other = rows_of(model, X_train, X_train), rows_of(model, X_train, X)
    if y_train is not None:
        check_identity(model, other, X, y_train)
    trace = 0.0
    for start, stop in own.spans():
        trace += float(np.sum(own.block(start, stop).diagonal(start)))
    sums = other.times(np.ones((other.shape[1], 1)))
    return SmootherSummary(_p0(own.squares(), own), _p0(other.squares(), other), trace, (float(sums.min()), float(sums.max())))


def _p0(squares: float, rows: SmootherRows) -> float:
    return squares * rows.shape[1] / rows.shape[0]
