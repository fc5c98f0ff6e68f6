"""Ensembles that learn nothing, or only which member is best."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import CompatibilityError
from ..learner import FittedRule, Pick
from ..metrics import Metric
from ..pool import Array, Pool
from ..rules import Linear, Pooled, RankMean

KNOTS = 1001


def mean(pool: Pool, y: Array, metric: Metric, **_: Any) -> FittedRule:
    """The plain mean."""
    return FittedRule(Linear(tuple([1 / len(pool.names)] * len(pool.names))))


def median(pool: Pool, y: Array, metric: Metric, **_: Any) -> FittedRule:
    """The middle value of each column; rows of probabilities are made to sum to 1 again."""
    return FittedRule(Pooled("median", pool.classes))


def geometric(pool: Pool, y: Array, metric: Metric, **_: Any) -> FittedRule:
    """The mean of logarithms, which for probabilities is the mean of logits once rows sum to 1."""
    if not pool.classes:
        for name, values in zip(pool.names, pool.values, strict=True):
            if np.nanmin(values) <= 0:
                raise CompatibilityError(
                    f"member '{name}': geometric needs numbers above 0, got {np.nanmin(values):.4g}; use mean or median"
                )
    return FittedRule(Pooled("geometric", pool.classes))


def rank_mean(pool: Pool, y: Array, metric: Metric, **_: Any) -> FittedRule:
    """The mean of ranks; for sorting rows, where members differ in scale but not in order."""
    shares = np.linspace(0, 1, min(KNOTS, len(pool)))
    if any(values.ndim == 2 for values in pool.values):
        raise CompatibilityError("rank_mean: expected one column a member (two classes or one number), got several; use geometric")
    return FittedRule(RankMean(tuple(tuple(np.quantile(v.astype(np.float64), shares, method="nearest").tolist()) for v in pool.values)))


def best(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, **_: Any) -> FittedRule:
    """The member with the smallest loss, the first of equals."""
    losses = [metric.loss(y, values, weight) for values in pool.values]
    place = int(np.nanargmin(losses))
    return FittedRule(
        Linear(tuple(float(i == place) for i in range(len(losses)))), (Pick(pool.names[place], metric.of_loss(losses[place])),)
    )
