"""Weights that are at least 0 and sum to 1, the best ones for a convex loss; and least squares without the sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....extras import extra
from ..learner import FittedRule
from ..metrics import TINY, Metric
from ..pool import Array, Pool
from ..rules import Linear
from .greedy import error_products

SMALL = 1e-6


def simplex(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, **_: Any) -> FittedRule:
    """The weights on the simplex with the least log loss, or the least squared error for the Brier score and for numbers.

    Both are convex, so there is one best value. For a metric that is neither, log loss or squared error stands in.
    """
    if pool.classes and metric.name != "brier":
        weights = least_log_loss(pool.of_truth(y), weight)
    else:
        weights = least_squares(error_products(pool, y, weight))
    return FittedRule(Linear(tuple(weights.tolist())))


def least_log_loss(truth: Array, weight: Array | None = None) -> Array:
    """argmin over the simplex of -mean_i log sum_j w_j truth[j, i].

    >>> least_log_loss(np.array([[0.9, 0.9, 0.1], [0.1, 0.1, 0.9]])).round(3)
    array([0.708, 0.292])
    """
    share = np.full(truth.shape[1], 1 / truth.shape[1]) if weight is None else weight / np.sum(weight)

    def loss(w: Array) -> tuple[float, Array]:
        mixed = np.maximum(w @ truth, TINY)
        return -float(share @ np.log(mixed)), -(truth @ (share / mixed))

    return _minimise(loss, len(truth))


def least_squares(products: Array) -> Array:
    """argmin over the simplex of w' G w, G the inner products of the members' errors.

    >>> least_squares(np.diag([1.0, 3.0])).round(3)
    array([0.75, 0.25])
    """
    scale = float(np.trace(products)) or 1.0

    def loss(w: Array) -> tuple[float, Array]:
        against = products @ w / scale
        return float(w @ against), 2 * against

    return _minimise(loss, len(products))


def _minimise(loss: Any, members: int) -> Array:
    """The best point of the simplex, and never worse than the middle or a corner of it."""
    found = (
        extra("scipy.optimize", "tabular")
        .minimize(
            loss,
            np.full(members, 1 / members),
            jac=True,
            method="SLSQP",
            bounds=[(0, 1)] * members,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
            options={"maxiter": 500, "ftol": 1e-13},
        )
        .x
    )
    found = np.where(found > SMALL, found, 0)
    tries = [np.eye(members)[i] for i in range(members)] + [np.full(members, 1 / members)]
    if found.sum() > 0 and np.isfinite(found).all():
        tries.insert(0, found / found.sum())
    return min(tries, key=lambda w: loss(w)[0])


def nnls(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, **_: Any) -> FittedRule:
    """Non-negative least squares: min over w >= 0 of sum_i ||sum_j w_j p_ij - y_i||^2, for classes y one column a class.

    Weights for classes are then divided by their sum; those for numbers are left as they are, and need not sum to 1.
    Source: Lawson and Hanson 1974, chapter 23; as a stacker, Breiman 1996.
    """
    gram, target = _normal_equations(pool, y, weight)
    scale = float(np.trace(gram)) / len(gram) or 1.0
    root = np.linalg.cholesky(gram / scale + 1e-10 * np.eye(len(gram)))
    weights, _residual = extra("scipy.optimize", "tabular").nnls(root.T, np.linalg.solve(root, target / scale))
    if pool.classes or weights.sum() == 0:
        weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    return FittedRule(Linear(tuple(weights.tolist())))


def _normal_equations(pool: Pool, y: Array, weight: Array | None) -> tuple[Array, Array]:
    """(G, c) of ||P w - y||^2 = w' G w - 2 c' w + constant; two classes as two columns."""
    members, size = len(pool.names), 1 << 15
    gram, target = np.zeros((members, members)), np.zeros(members)
    for at in range(0, len(y), size):
        cut = slice(at, at + size)
        rows = np.stack([v[cut].astype(np.float64) for v in pool.values])
        truth = np.asarray(y[cut], np.float64)
        if pool.task == "binary":
            rows, truth = np.stack([1 - rows, rows], axis=2), np.column_stack([1 - truth, truth])
        elif pool.task == "multiclass":
            truth = np.eye(rows.shape[2])[y[cut]]
        share = np.sqrt(np.ones(len(truth)) if weight is None else weight[cut])
        shape = (-1, *[1] * (truth.ndim - 1))
        flat = (rows * share.reshape(shape)).reshape(members, -1)
        gram += flat @ flat.T
        target += flat @ (truth * share.reshape(shape)).reshape(-1)
    return gram, target
