"""Weights by an evolution strategy: for any metric, also one without a gradient."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ....extras import extra
from ..learner import FittedRule, Pick
from ..metrics import Metric
from ..pool import Array, Pool
from ..rules import Linear, softmax


def cma_es(
    pool: Pool,
    y: Array,
    metric: Metric,
    *,
    seed: int = 0,
    weight: Array | None = None,
    generations: int = 50,
    spread: float = 1.0,
    **_: Any,
) -> FittedRule:
    """Weights softmax(x) with x searched by CMA-ES from 0, the plain mean, with steps of size `spread`.

    The softmax keeps weights positive and summing to 1, which is what keeps the search from overfitting metrics that depend on the
    order of rows alone. Source: Purucker and Beel 2023, sections 3 and 4 (arXiv 2307.00286).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cma = extra("cma", "search")
    members = len(pool.names)
    if members == 1:
        return FittedRule(Linear((1.0,)))

    def loss(x: Array) -> float:
        return metric.loss(y, Linear(tuple(softmax(np.asarray(x))))(pool.values), weight)

    best, least = np.zeros(members), loss(np.zeros(members))
    steps = [Pick("mean", metric.of_loss(least))]
    random = np.random.default_rng(seed)
    # a generator of its own: the package would seed NumPy's global one
    options = {
        "seed": float("nan"),
        "randn": lambda *size: random.standard_normal(size),
        "maxiter": generations,
        "verbose": -9,
        "verb_log": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = cma.CMAEvolutionStrategy(best, spread, options)
        while not search.stop():
            tries = search.ask()
            found = [loss(x) for x in tries]
            search.tell(tries, found)
            if min(found) < least:
                least, best = min(found), np.asarray(tries[int(np.argmin(found))])
            steps.append(Pick(f"generation {len(steps)}", metric.of_loss(least)))
    return FittedRule(Linear(tuple(softmax(best).tolist())), tuple(steps))
