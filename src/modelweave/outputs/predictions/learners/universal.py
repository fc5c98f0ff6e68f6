"""The universal mixture of forecasters, seen row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...simplex_points import simplex_points
from ..learner import FittedRule
from ..metrics import TINY, Metric
from ..pool import Array, Pool
from ..rules import Linear

BLOCK = 8192


def universal(pool: Pool, y: Array, metric: Metric, *, seed: int = 0, points: int = 4096, rows: int = 100_000, **_: Any) -> FittedRule:
    """The weights of a universal mixture after the last row: int w L(w) dw / int L(w) dw, L(w) the product of what w gave to what occurred.

    The integral is a sum over about `points` points of the simplex; of more than `rows` rows the last ones count. Predicting row by row
    with these weights loses at most (members - 1) log(rows + 1) against the best fixed weights; `modelweave.universal_mixture` does so.
    """
    truth = np.maximum(pool.of_truth(y)[:, -rows:], TINY).astype(np.float64)
    draws, prior = simplex_points(len(truth), points=points, seed=seed)
    likelihood = np.zeros(len(draws))
    for at in range(0, truth.shape[1], BLOCK):
        likelihood += np.log(draws @ truth[:, at : at + BLOCK]).sum(axis=1)
    shares = prior * np.exp(likelihood - likelihood.max())
    weights = shares @ draws / shares.sum()
    return FittedRule(Linear(tuple((weights / weights.sum()).tolist())))
