"""Weights that differ by class, by segment of the rows, or by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import CompatibilityError, ParameterError
from ....extras import extra
from ..learner import FittedRule
from ..metrics import TINY, Metric
from ..pool import Array, Pool
from ..rules import BySegment, Gate, Linear, softmax, sureness
from .simplex import least_squares, simplex


def per_class(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, **_: Any) -> FittedRule:
    """For each class its own weights on the simplex, the least squared error in that column; rows are then made to sum to 1.

    Two classes in one column have one set of weights.
    """
    if pool.task == "binary":
        return simplex(pool, y, metric, weight=weight)
    share = np.full(len(y), 1.0) if weight is None else np.asarray(weight, np.float64)
    columns = []
    for k in range(pool.values[0].shape[1]):
        errors = np.stack([values[:, k].astype(np.float64) - (y == k) for values in pool.values])
        columns.append(least_squares((errors * share) @ errors.T / share.sum()))
    return FittedRule(Linear(tuple(map(tuple, np.column_stack(columns).tolist())), normalise=True))


def per_group(
    pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, segments: Array | None = None, shrink: float = 50.0, **_: Any
) -> FittedRule:
    """Simplex weights for each segment, drawn to those of all rows: (n w_segment + shrink w_all) / (n + shrink), n its rows.

    Rows of a segment that was not seen go by the weights of all.
    """
    if segments is None:
        raise ParameterError("per_group: expected segments, one word a row that is known when predicting, got none; pass segments=")
    words = np.asarray(segments).astype(str)
    if words.shape != (len(y),):
        raise CompatibilityError(f"segments: expected one for each of {len(y)} rows, got shape {words.shape}")
    everywhere = simplex(pool, y, metric, weight=weight).rule
    rules = {}
    for word in np.unique(words).tolist():
        rows = np.flatnonzero(words == word)
        own = simplex(pool.take(rows), y[rows], metric, weight=None if weight is None else weight[rows]).rule
        mixed = (len(rows) * np.asarray(own.weights) + shrink * np.asarray(everywhere.weights)) / (len(rows) + shrink)
        rules[word] = Linear(tuple(mixed.tolist()))
    return FittedRule(BySegment(rules, everywhere))


def gate(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, strength: float = 1e-3, **_: Any) -> FittedRule:
    """p(x) = sum_j w_j(x) p_j(x), w(x) = softmax(A s(x) + b), s how sure each member is of the row.

    A and b are found by L-BFGS on the log loss or squared error, with strength * ||A||^2 added; A = 0 is the simplex.
    Source: mixtures of experts with fixed experts, Jacobs et al. 1991, section 2.
    """
    members = len(pool.names)
    raw = sureness(pool.values, pool.classes)
    centre, spread = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
    features = (raw - centre) / spread
    share = (np.full(len(y), 1.0) if weight is None else np.asarray(weight, np.float64)) / (
        len(y) if weight is None else float(np.sum(weight))
    )
    truth = pool.of_truth(y).T.astype(np.float64) if pool.classes else None
    errors = None if pool.classes else np.stack([(v - y).reshape(len(y), -1) for v in pool.values], axis=1)

    def loss(x: Array) -> tuple[float, Array]:
        a, b = x[: members * members].reshape(members, members), x[members * members :]
        w = softmax(features @ a.T + b)
        if truth is not None:
            mixed = np.maximum((w * truth).sum(axis=1), TINY)
            value, slope = -float(share @ np.log(mixed)), -share[:, None] * truth / mixed[:, None]
        else:
            assert errors is not None
            mixed = np.einsum("ij,ijk->ik", w, errors)
            value, slope = (
                float(share @ (mixed**2).mean(axis=1)),
                2 * share[:, None] * np.einsum("ijk,ik->ij", errors, mixed) / mixed.shape[1],
            )
        back = w * (slope - (w * slope).sum(axis=1, keepdims=True))
        gradient = np.r_[(back.T @ features + 2 * strength * a).ravel(), back.sum(axis=0)]
        return value + strength * float((a**2).sum()), gradient

    x = (
        extra("scipy.optimize", "tabular")
        .minimize(loss, np.zeros(members * (members + 1)), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        .x
    )
    a, b = x[: members * members].reshape(members, members), x[members * members :]
    return FittedRule(Gate(tuple(map(tuple, a.tolist())), tuple(b.tolist()), tuple(centre.tolist()), tuple(spread.tolist()), pool.classes))
