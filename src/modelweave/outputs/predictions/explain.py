"""Why a member is in an ensemble or not, and what their difference is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from .calibration import entropy, reliability
from .metrics import Metric, predicted
from .pool import Array, Pool

EXACT = 10
"""Members up to which every subset is tried for Shapley values; for more, orders are drawn, and fewer rows looked at."""
DRAWS = 200
ROWS, FEW_ROWS = 20_000, 4_000


@dataclass(frozen=True)
class MemberStory:
    """alone: its score. loss_without: by how much the blend's loss grows when the member goes and the others' weights are stretched.
    shapley: its part of the gain of plain means of members over knowing only how common each class or what the mean is.
    agreement: correlation of its errors with those of the member of largest weight, other than itself. wins: share of rows where no
    other member has a smaller loss. calibration_error: of its probabilities, None for numbers.
    """

    name: str
    weight: float
    alone: float
    loss_without: float
    shapley: float
    agreement: float
    wins: float
    calibration_error: float | None


@dataclass(frozen=True)
class Explanation:
    """correlation: of the members' errors, (members, members). diversity: mean member loss by weight less the blend's loss, which is
    the ambiguity of squared errors and Jensen's gap of log loss, at least 0 for both. disagreement: share of pairs of members that call
    a row differently. knowledge: mean over rows of entropy(mean) - mean entropy, the mutual information of class and member, in nats.
    """

    metric: str
    members: tuple[MemberStory, ...]
    correlation: Array
    blend_loss: float
    mean_member_loss: float
    diversity: float
    disagreement: float | None
    knowledge: float | None
    rows: int


def explain(pool: Pool, y: Array, metric: Metric, weights: Array, *, seed: int = 0) -> Explanation:
    """On rows that all members cover, at most 20,000 of them. weights: (members,), at least 0, of a linear blend."""
    rows = np.flatnonzero(pool.complete)
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, ROWS, replace=False))
    pool, y = pool.take(rows), y[rows]
    stack = np.stack([values.astype(np.float64) for values in pool.values])
    weights = np.asarray(weights, np.float64)
    shares = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))

    def loss(w: Array) -> float:
        return metric.loss(y, np.tensordot(w, stack, axes=1))

    alone = np.array([metric.loss(y, p) for p in stack])
    by_row = np.stack([metric.losses(y, p) for p in stack])
    correlation = error_correlation(stack, y)
    whole = loss(shares)
    without = [loss(_rest(shares, i)) - whole if len(shares) > 1 else float("nan") for i in range(len(shares))]
    few = slice(None) if len(shares) <= EXACT else slice(0, FEW_ROWS)
    shapley = shapley_values(_joining(metric, y[few], stack[:, few]), len(shares), metric.loss(y[few], _ignorant(y, stack[:, few])), seed)
    least = by_row == by_row.min(axis=0)
    stories = []
    for i, name in enumerate(pool.names):
        rank = np.argsort(-np.where(np.arange(len(shares)) == i, -1, shares), kind="stable")[0]
        error = reliability(stack[i], y).error if pool.classes else None
        near = float(correlation[i, rank]) if len(shares) > 1 else float("nan")
        stories.append(
            MemberStory(
                name, float(weights[i]), metric.of_loss(float(alone[i])), without[i], shapley[i], near, float(least[i].mean()), error
            )
        )
    mean_loss = float(shares @ alone)
    disagreement = knowledge = None
    if pool.classes:
        disagreement = _disagreement(stack)
        knowledge = float(
            np.mean(entropy(np.tensordot(shares, stack, axes=1)) - sum(s * entropy(p) for s, p in zip(shares, stack, strict=True)))
        )
    return Explanation(metric.name, tuple(stories), correlation, whole, mean_loss, mean_loss - whole, disagreement, knowledge, len(y))


def error_correlation(stack: Array, y: Array) -> Array:
    """(members, members): Pearson correlation of the errors, target less prediction over all columns; 0 for a member without spread."""
    if stack.ndim == 3 and y.ndim == 1:
        errors = (np.eye(stack.shape[2])[y] - stack).reshape(len(stack), -1)
    else:
        errors = (y - stack).reshape(len(stack), -1)
    errors = errors - errors.mean(axis=1, keepdims=True)
    norms = np.sqrt((errors**2).sum(axis=1))
    safe = np.where(norms > 0, norms, 1)
    found: Array = (errors / safe[:, None]) @ (errors / safe[:, None]).T
    np.fill_diagonal(found, 1.0)
    return np.clip(found, -1, 1)


def shapley_values(losses: Callable[[Sequence[int]], Sequence[float]], members: int, ignorant: float, seed: int = 0) -> list[float]:
    """Of each member, the mean over orders of joining of how much it lowers the loss; all orders for up to 10 members, else 200 draws.

    losses: of members that join in an order, the loss after each. The values sum to ignorant - the loss of all.
    Source: Shapley 1953; Ghorbani and Zou 2019, section 2.

    >>> shapley_values(lambda order: [3.0 - 1, 3.0 - 2][: len(order)], 2, 3.0)
    [1.0, 1.0]
    """
    if members <= EXACT:
        table = {(): ignorant} | {s: losses(s)[-1] for size in range(1, members + 1) for s in combinations(range(members), size)}
        return [
            sum(
                (table[s] - table[tuple(sorted((*s, i)))]) / (members * comb(members - 1, len(s)))
                for s in table
                if i not in s and len(s) < members
            )
            for i in range(members)
        ]
    random = np.random.default_rng(seed)
    found = np.zeros(members)
    for _ in range(DRAWS):
        order = random.permutation(members)
        found[order] -= np.diff(losses(order.tolist()), prepend=ignorant) / DRAWS
    return found.tolist()


def _joining(metric: Metric, y: Array, stack: Array) -> Callable[[Sequence[int]], list[float]]:
    """The losses of the plain means of the first 1, 2, ... members of an order."""

    def losses(order: Sequence[int]) -> list[float]:
        total, found = np.zeros(stack.shape[1:]), []
        for count, place in enumerate(order, 1):
            total += stack[place]
            found.append(metric.loss(y, total / count))
        return found

    return losses


def _ignorant(y: Array, stack: Array) -> Array:
    """What one would say without members: the mean target, the share of each class."""
    if stack.ndim == 3 and y.ndim == 1:
        return np.broadcast_to(np.bincount(y, minlength=stack.shape[2]) / len(y), stack.shape[1:])
    return np.broadcast_to(y.mean(axis=0), stack.shape[1:]).astype(np.float64)


def _equal(places: Sequence[int], members: int) -> Array:
    return np.bincount(list(places), minlength=members) / len(places)


def _rest(shares: Array, member: int) -> Array:
    """The others' weights stretched to sum 1; equal ones where they have none."""
    kept = np.where(np.arange(len(shares)) == member, 0, shares)
    return kept / kept.sum() if kept.sum() > 0 else _equal([i for i in range(len(shares)) if i != member], len(shares))


def _disagreement(stack: Array) -> float:
    calls = np.stack([predicted(p) for p in stack])
    if len(calls) < 2:
        return 0.0
    return float(np.mean([np.mean(calls[i] != calls[j]) for i, j in combinations(range(len(calls)), 2)]))
