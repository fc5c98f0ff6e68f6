"""Greedy selection with replacement: in each round the member that helps most joins once more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from typing import Any, Literal, Protocol

import numpy as np

from ..learner import FittedRule, Pick
from ..log_sums import log_sums
from ..metrics import TINY, Metric
from ..pool import Array, Pool
from ..rules import Linear

SPAN = 1 << 16
"""Rows that one thread has in work at a time."""


def greedy(
    pool: Pool,
    y: Array,
    metric: Metric,
    *,
    seed: int = 0,
    weight: Array | None = None,
    rounds: int = 25,
    keep: Literal["best", "last"] = "best",
    ties: Literal["chosen", "any"] = "chosen",
    rows: int = 1_000_000,
    **_: Any,
) -> FittedRule:
    """Weights are how often a member was taken, divided by the rounds that are kept.

    In round t each member j is tried: loss((S + p_j) / t), S the sum so far; the least joins. ties: `chosen` counts losses within
    1e-12 of the least as equal, from the second round on rounded to 6 decimals, and prefers members that are in already;
    `any` takes exact equality. What is left is decided by chance from `seed`. keep: the rounds up to the least loss, or all.
    More rows than `rows` are sampled. Source: Caruana et al. 2004, section 2; `chosen` and `best` as AutoGluon 1.6 does,
    `any` and `last` as auto-sklearn 0.15.
    """
    random = np.random.RandomState(seed)
    if len(y) > rows:
        picked = random.choice(len(y), rows, replace=False)
        pool, y, weight = pool.take(picked), y[picked], None if weight is None else weight[picked]
    found = list(islice(_rounds(trial(pool, y, metric, weight, ties), random, ties), 1 if len(pool.names) == 1 else rounds))
    losses = [loss for _, loss in found]
    kept = found[: int(np.argmin(losses)) + 1] if keep == "best" else found
    counts = np.bincount([member for member, _ in kept], minlength=len(pool.names))
    steps = tuple(Pick(pool.names[member], metric.of_loss(loss)) for member, loss in found)
    return FittedRule(Linear(tuple((counts / len(kept)).tolist())), steps)


class Trial(Protocol):
    """Losses of the blend so far with each member added once more, and the adding."""

    def losses(self) -> Array: ...

    def add(self, member: int) -> None: ...


def _rounds(trial: Trial, random: np.random.RandomState, ties: str) -> Iterator[tuple[int, float]]:
    used: set[int] = set()
    rounding = False
    while True:
        losses = trial.losses()
        if ties == "any":
            equal = np.flatnonzero(losses == np.nanmin(losses))
        else:
            losses = losses.round(6) if rounding else losses
            equal = np.flatnonzero(np.isclose(losses, np.nanmin(losses), atol=0, rtol=1e-12))
            inside = [member for member in equal if member in used]
            equal = np.asarray(inside) if len(equal) > 1 and inside else equal
        member = int(random.choice(equal))
        loss = float(losses[member])
        if ties == "chosen" and not used and abs(loss) > 1e-4:
            rounding, loss = True, round(loss, 6)
        used.add(member)
        trial.add(member)
        yield member, loss


def trial(pool: Pool, y: Array, metric: Metric, weight: Array | None = None, ties: str = "chosen") -> Trial:
    """The fastest way to the losses of a metric."""
    if metric.name == "log_loss":
        return _LogLosses(pool.of_truth(y), weight)
    if metric.name in ("brier", "mse", "rmse"):
        return _Squares(pool, y, metric, weight)
    return _Losses(pool, y, metric, weight, ties)


class _Losses:
    """Any metric: the blend is made and measured.

    The order of operations is that of the peer whose ties are kept, since scores that count rows may depend on the last bit.
    """

    def __init__(self, pool: Pool, y: Array, metric: Metric, weight: Array | None, ties: str) -> None:
        self.pool, self.y, self.metric, self.weight, self.mean = pool, y, metric, weight, ties == "chosen"
        self.so_far = np.zeros(pool.values[0].shape)
        self.count = 0

    def losses(self) -> Array:
        t = self.count + 1
        held = self.so_far * (self.count / t) if self.mean else self.so_far
        return np.array([self._loss(held, values, t) for values in self.pool.values])

    def _loss(self, held: Array, values: Array, t: int) -> float:
        blend = held + (1 / t) * values if self.mean else (held + values) * (1 / t)
        if self.mean and self.pool.task == "multiclass":
            blend /= blend.sum(axis=1)[:, None]
        return self.metric.loss(self.y, blend, self.weight)

    def add(self, member: int) -> None:
        self.count += 1
        if self.mean:
            self.so_far *= (self.count - 1) / self.count
            self.so_far += self.pool.values[member] / self.count
        else:
            self.so_far += self.pool.values[member]


class _Squares:
    """Squared errors: one matrix of inner products of the members' errors answers every round."""

    def __init__(self, pool: Pool, y: Array, metric: Metric, weight: Array | None) -> None:
        self.products, self.factor = error_products(pool, y, weight), metric.finish
        if metric.name == "brier" and pool.task == "binary":
            self.products *= 2
        self.counts = np.zeros(len(pool.names))

    def losses(self) -> Array:
        t = self.counts.sum() + 1
        against = self.products @ self.counts
        squares = (self.counts @ against + 2 * against + np.diag(self.products)) / t**2
        return np.array([self.factor(max(float(square), 0.0)) for square in squares])

    def add(self, member: int) -> None:
        self.counts[member] += 1


def error_products(pool: Pool, y: Array, weight: Array | None = None) -> Array:
    """(members, members): weighted mean over rows of the inner products of the members' errors, for squared losses."""
    members = len(pool.names)
    products = np.zeros((members, members))
    for cut in _cuts(len(y), SPAN // 2):
        errors = np.stack([_errors(values[cut], y[cut]) for values in pool.values])
        share = np.ones(errors.shape[1]) if weight is None else weight[cut]
        weighted = errors * np.sqrt(share)[:, None]
        flat = weighted.reshape(members, -1)
        products += flat @ flat.T
    width = 1 if y.ndim == 1 else y.shape[1]
    return products / ((len(y) if weight is None else float(np.sum(weight))) * width)


def _errors(values: Array, y: Array) -> Array:
    """(rows, columns) in float64: prediction less target, the target of classes being 1 in its column."""
    if values.ndim == 2 and y.ndim == 1:
        errors = values.astype(np.float64)
        errors[np.arange(len(y)), y] -= 1
        return errors
    return (values.astype(np.float64) - y).reshape(len(y), -1)


class _LogLosses:
    """Log loss: only the probability of what occurred counts."""

    def __init__(self, truth: Array, weight: Array | None) -> None:
        self.truth, self.weight = truth, weight
        self.total = np.zeros(truth.shape[1])
        self.count = 0
        self.workers = ThreadPoolExecutor(min(8, cpu_count() or 1))

    def losses(self) -> Array:
        rows = self.truth.shape[1]
        # fixed spans and a sum in their order: the same bits for any number of threads
        sums = np.sum(list(self.workers.map(self._sums, _cuts(rows, SPAN))), axis=0)
        whole = rows if self.weight is None else float(np.sum(self.weight))
        return np.asarray(np.log(self.count + 1) - sums / whole)

    def _sums(self, span: slice) -> Array:
        """(members,): sums of log(S + p_j) over the rows of the span."""
        least = TINY * (self.count + 1)
        if self.weight is None:
            return log_sums(self.truth[:, span], self.total[span], least)
        return np.asarray(np.log(np.maximum(self.truth[:, span] + self.total[span], least)) @ self.weight[span])

    def add(self, member: int) -> None:
        self.total += self.truth[member]
        self.count += 1


def _cuts(rows: int, size: int) -> list[slice]:
    return [slice(at, min(at + size, rows)) for at in range(0, rows, size)]
