"""Data, slow references and models that the tests of smoothers share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def made(n: int = 60, m: int = 40, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """X_train, y_train and X."""
    random = np.random.default_rng(seed)
    X = random.random((n + m, 5))
    y = 3 * X[:, 0] + np.sin(6 * X[:, 1]) + random.standard_normal(n + m)
    return X[:n], y[:n], X[n:]


def slow_tree(train: Any, query: Any, weights: Any) -> Floats:
    """The definition, entry by entry."""
    found = np.zeros((len(query), len(train)))
    for j, leaf in enumerate(query):
        total = sum(w for other, w in zip(train, weights, strict=True) if other == leaf)
        for i, other in enumerate(train):
            if other == leaf:
                found[j, i] = weights[i] / total
    return found


def slow_boosting(train: Any, query: Any, rate: float, mean_init: bool) -> list[Floats]:
    """The recursion with whole matrices: S after each tree."""
    n, m = len(train), len(query)
    own, other = np.full((n, n), mean_init / n), np.full((m, n), mean_init / n)
    found = []
    for b in range(train.shape[1]):
        at_train = slow_tree(train[:, b], train[:, b], np.ones(n))
        at_query = slow_tree(train[:, b], query[:, b], np.ones(n))
        other = other + rate * at_query @ (np.eye(n) - own)
        own = own + rate * at_train @ (np.eye(n) - own)
        found.append(other)
    return found


def p0(S: Floats) -> float:
    return float(S.shape[1] / S.shape[0] * np.sum(S**2))
