"""Pools to choose subsets from: made ones with rare elements among usual ones, and a library of real small classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ELEMENTS, FEW = 12, 3


def minority(random: np.random.Generator, centres: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pools of nine elements around one of six centres and three around another; the three are the subset."""
    pools = np.empty((count, ELEMENTS, centres.shape[1]), np.float32)
    marks = np.zeros((count, ELEMENTS), np.float32)
    for row in range(count):
        most, few = random.choice(len(centres), 2, replace=False)
        order = random.permutation(ELEMENTS)
        rare = order < FEW
        pools[row] = centres[np.where(rare, few, most)] + 0.9 * random.standard_normal((ELEMENTS, centres.shape[1]))
        marks[row] = rare
    return pools, marks


def moons(random: np.random.Generator, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pools of nine points of one half moon and three of the other; which is the usual one is chance."""
    angle = np.pi * random.random((count, ELEMENTS))
    rare = np.argsort(random.random((count, ELEMENTS)), axis=1) < FEW
    lower = rare ^ (random.random(count) < 0.5)[:, None]
    x = np.where(lower, 1 - np.cos(angle), np.cos(angle))
    y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    pools = np.stack([x, y], axis=2) + 0.1 * random.standard_normal((count, ELEMENTS, 2))
    return pools.astype(np.float32), rare.astype(np.float32)


def library(seed: int) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """48 small classifiers of the handwritten digits, each on few pixels and rows; their probabilities of 900 rows apart."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.tree import DecisionTreeClassifier

    digits = load_digits()
    random = np.random.default_rng([seed, 45])
    order = random.permutation(len(digits.target))
    X, y = digits.data[order], digits.target[order]
    found = {}
    for number in range(48):
        pixels = random.choice(64, random.integers(12, 40), replace=False)
        rows = random.choice(800, random.integers(150, 600), replace=False)
        kinds = (
            LogisticRegression(max_iter=200),
            GaussianNB(var_smoothing=0.01),
            DecisionTreeClassifier(min_samples_leaf=5, random_state=number),
        )
        model: Any = kinds[number % 3]
        scaled = X[:, pixels] / 16
        p = model.fit(scaled[rows], y[rows]).predict_proba(scaled[-900:])
        whole = np.zeros((900, 10))
        whole[:, model.classes_] = p
        found[f"m{number}"] = 0.99 * whole + 0.001
    return found, y[-900:]
