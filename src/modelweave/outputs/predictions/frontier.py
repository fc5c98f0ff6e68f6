"""What each member's cost buys: the best ensembles of few or cheap members, and cascades that stop early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from ..splits import Split
from .blended import Blend
from .learners.greedy import greedy
from .metrics import Metric
from .pool import Array, Pool

ROWS = 20_000


@dataclass(frozen=True)
class FrontierPoint:
    """members with their weights; cost: the sum of theirs; score: on rows that neither choice nor weights have seen."""

    members: Mapping[str, float]
    cost: float
    score: float


def frontier(blend: Blend, costs: Mapping[str, float], *, folds: int = 5, seed: int = 0) -> list[FrontierPoint]:
    """Ensembles from the cheapest to the best, each better than all that cost less.

    Members join one at a time, the one that lowers the loss most for its cost; weights are greedy. Chosen on all folds but one and
    scored on that one.

    Args:
        blend: as `modelweave.blend` gives it, with its rows.
        costs: of each member, above 0, in any one unit.
        folds: of which one scores.
        seed: of folds and draws.

    Returns:
        Points of members with weights, cost and score, by rising cost.

    Raises:
        ParameterError: for a member without a cost above 0.
        CompatibilityError: for a blend that was loaded.

    >>> import modelweave
    >>> y = np.array([0, 1] * 20)
    >>> found = modelweave.blend({"dear": np.where(y == 1, 0.9, 0.1), "cheap": np.where(y == 1, 0.6, 0.4)}, y)
    >>> [(point.cost, dict(point.members)) for point in frontier(found, {"dear": 5.0, "cheap": 1.0})]
    [(1.0, {'cheap': 1.0}), (5.0, {'dear': 1.0})]
    """
    pool, y, metric = _seen(blend, costs)
    rows = np.flatnonzero(pool.complete)
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, ROWS, replace=False))
    pool, y = pool.take(rows), y[rows]
    apart = Split(folds, seed=seed).holdout(y, classes=pool.classes)
    learn, test = pool.take(apart.train), pool.take(apart.test)
    prices = np.array([costs[name] for name in pool.names])
    points: list[FrontierPoint] = []
    chosen: list[int] = []
    loss = np.inf
    while len(chosen) < len(pool.names):
        tries = []
        for j in set(range(len(pool.names))) - set(chosen):
            places = sorted([*chosen, j])
            rule = greedy(learn.only(places), y[apart.train], metric, seed=seed).rule
            got = metric.loss(y[apart.train], rule(learn.only(places).values))
            # the first member is taken by what it buys over knowing nothing, hence by loss and cost alike
            tries.append((got * prices[j] if not chosen else -(loss - got) / prices[j], j, got, places, rule))
        _, j, loss, places, rule = min(tries, key=lambda found: (found[0], found[1]))
        chosen.append(j)
        used = {pool.names[p]: w for p, w in zip(places, rule.weights, strict=True) if w > 0}
        score = metric.score(y[apart.test], rule(test.only(places).values))
        points.append(FrontierPoint(used, float(sum(costs[name] for name in used)), score))
    for j, name in enumerate(pool.names):
        points.append(FrontierPoint({name: 1.0}, float(costs[name]), metric.score(y[apart.test], test.values[j])))
    return pareto(points, gain=metric.gain)


def pareto(points: Sequence[FrontierPoint], *, gain: bool) -> list[FrontierPoint]:
    """The points that nothing cheaper or as cheap equals, by rising cost."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score if gain else p.score)):
        if not kept or (point.score > kept[-1].score if gain else point.score < kept[-1].score):
            kept.append(point)
    return kept


@dataclass(frozen=True)
class Cascade:
    """Members are asked one after the other, and no more once the mean of those asked is sure enough.

    order: names. limits: of each but the last, the probability of the likeliest class at which to stop. cost: the mean for a row on
    the rows it was made from; score likewise.
    """

    order: tuple[str, ...]
    limits: tuple[float, ...]
    labels: tuple[Any, ...]
    cost: float
    score: float

    def predict(self, ask: Mapping[str, Any]) -> tuple[Array, Array]:
        """(probabilities, members asked of each row). ask: by name an array of predictions, or a function from row numbers to them.

        A function is called with the rows that are still open alone, and not at all when there are none.
        """
        first = ask[self.order[0]]
        if callable(first):
            raise ParameterError(f"cascade: the first member '{self.order[0]}' must be an array over all rows, got a function")
        total = np.array(first, np.float64)
        asked = np.ones(len(total), int)
        open_rows = np.arange(len(total))
        for stage, name in enumerate(self.order[1:], 1):
            open_rows = open_rows[_sure(total[open_rows] / stage) < self.limits[stage - 1]]
            if not len(open_rows):
                break
            member = ask[name]
            total[open_rows] += np.asarray(member(open_rows) if callable(member) else member[open_rows], np.float64)
            asked[open_rows] += 1
        return (total.T / asked).T, asked


def cascade(blend: Blend, costs: Mapping[str, float], *, budget: float, steps: int = 20) -> Cascade:
    """The cascade of the least loss whose mean cost is at most `budget`: one cheap member, then those that the blend weighs by rising cost.

    One limit for all stages, the best of `steps` quantiles of how sure the first member is. Made on all rows of the blend, so its
    score is a little too good. Classes alone. Source: Viola and Jones 2001; confidence as in Wang et al. 2018 (arXiv 1706.00885).

    Args:
        blend: of classes, as `modelweave.blend` gives it, with its rows.
        costs: of each member, above 0, in any one unit.
        budget: the most that a row may cost on average.
        steps: limits that are tried.

    Raises:
        ParameterError: for numbers, a member without a cost above 0, or a budget that no member fits.
        CompatibilityError: for a blend that was loaded.

    >>> import modelweave
    >>> y = np.array([0, 1] * 20)
    >>> found = modelweave.blend({"dear": np.where(y == 1, 0.9, 0.1), "cheap": np.where(y == 1, 0.6, 0.4)}, y)
    >>> cascade(found, {"dear": 5.0, "cheap": 1.0}, budget=3).order
    ('cheap', 'dear')
    """
    pool, y, metric = _seen(blend, costs)
    if not pool.classes:
        raise ParameterError("cascade: applies to probabilities, and these are numbers")
    cheapest = min(costs[name] for name in pool.names)
    if cheapest > budget:
        raise ParameterError(f"cascade: budget {budget:g} is less than the cheapest member costs, {cheapest:g}")
    arrays = {name: values[pool.complete] for name, values in zip(pool.names, pool.values, strict=True)}
    truth = y[pool.complete]
    used = sorted((n for n in pool.names if np.any(np.asarray(blend.weights[n]) > 0)), key=lambda name: (costs[name], name))
    best: tuple[float, Cascade] | None = None
    for first in (name for name in pool.names if costs[name] <= min(budget, costs[used[0]])):
        order = (first, *(name for name in used if name != first))
        prices = np.cumsum([costs[name] for name in order])
        for limit in np.r_[0.0, np.unique(np.quantile(_sure(arrays[first]), np.linspace(0, 1, steps))), 1.01]:
            tried = Cascade(order, (float(limit),) * (len(order) - 1), pool.labels, 0.0, 0.0)
            p, asked = tried.predict(arrays)
            cost, loss = float(prices[asked - 1].mean()), metric.loss(truth, p)
            if cost <= budget and (best is None or loss < best[0]):
                best = loss, replace(tried, cost=cost, score=metric.of_loss(loss))
    if best is None:
        raise ParameterError(f"cascade: the member to start with costs more than the budget {budget:g}; raise it")
    return best[1]


def _sure(p: Array) -> Array:
    """(rows,): the probability of the likeliest class."""
    return np.asarray(np.maximum(p, 1 - p) if p.ndim == 1 else p.max(axis=1))


def _seen(blend: Blend, costs: Mapping[str, float]) -> tuple[Pool, Array, Metric]:
    if blend.seen is None:
        raise CompatibilityError("costs: a loaded blend does not hold the rows it was made from; make it again with blend()")
    pool, y, metric = blend.seen
    for name in pool.names:
        if not costs.get(name, 0) > 0:
            raise ParameterError(f"costs: member '{name}' needs a cost above 0, got {costs.get(name)!r}")
    return pool, y, metric
