"""Probabilities that mean what they say: temperatures, calibration error, and sets that hold the truth as often as asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...extras import extra
from .metrics import TINY, predicted, true_class
from .pool import Array
from .rules import temper

EDGES = (0.05, 20.0)


def temperature(p: Array, y: Array, weight: Array | None = None) -> float:
    """The temperature T in [0.05, 20] with the least log loss of p^(1/T), renormalised; found by golden section on log T.

    The log loss is convex in 1/T. Source: Guo et al. 2017, section 4.2 (arXiv 1706.04599).

    >>> round(temperature(np.array([0.99, 0.99, 0.99, 0.99]), np.array([1, 1, 1, 0])), 2)
    4.18
    """

    def loss(log_t: float) -> float:
        losses = -np.log(np.maximum(true_class(y, temper(p, math.exp(log_t))), TINY))
        return float(np.average(losses, weights=weight))

    edges = (math.log(EDGES[0]), math.log(EDGES[1]))
    found = extra("scipy.optimize", "tabular").minimize_scalar(loss, bounds=edges, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


@dataclass(frozen=True)
class Reliability:
    """Of each bin of confidence: the mean confidence, how often it was right, and its rows. error: the mean gap, weighted by rows (ECE)."""

    confidence: Array
    accuracy: Array
    rows: Array
    error: float


def reliability(p: Array, y: Array, bins: int = 15) -> Reliability:
    """Confidence against accuracy: of the class called, or with two classes of the second one.

    error = sum_b rows_b / rows * |accuracy_b - confidence_b|. Source: Naeini et al. 2015; Guo et al. 2017, section 2.
    """
    confidence = p if p.ndim == 1 else p.max(axis=1)
    right = (y == 1 if p.ndim == 1 else predicted(p) == y).astype(np.float64)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    used = rows > 0
    sure = np.bincount(place, confidence, bins)[used] / rows[used]
    hit = np.bincount(place, right, bins)[used] / rows[used]
    return Reliability(sure, hit, rows[used], float(np.sum(rows[used] * np.abs(hit - sure)) / len(y)))


def nonconformity(p: Array, y: Array, classes: bool) -> Array:
    """(rows,): nonconformity scores of the truth under a prediction: 1 - its probability, or the distance to it."""
    if classes:
        return np.asarray(1 - true_class(y, p).astype(np.float64))
    distance: Array = np.abs(p - y)
    return distance if p.ndim == 1 else np.asarray(distance.max(axis=1))


def threshold(scores: Sequence[float] | Array, alpha: float) -> float:
    """The score below which a new row lies with chance of at least 1 - alpha, when it is exchangeable with these rows.

    The ceil((n + 1)(1 - alpha))-th smallest; infinite when n is too small for that. Source: Vovk et al. 2005; Angelopoulos and
    Bates 2021, section 1 (arXiv 2107.07511).

    >>> threshold([0.1, 0.2, 0.3, 0.4], alpha=0.2)
    0.4
    """
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return math.inf if rank > len(scores) else float(np.sort(np.asarray(scores))[max(rank, 1) - 1])


def entropy(p: Array) -> Array:
    """(rows,) in nats, of probabilities (rows,) of the second class or (rows, classes)."""
    both = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    found: Array = -(both * np.log(np.maximum(both, TINY))).sum(axis=1)
    return found
