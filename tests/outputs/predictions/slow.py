"""Ensembles in plain loops, and pools to try them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def make_members(seed: int, rows: int = 300, classes: int = 3, noise: Sequence[float] = (1.0, 1.5, 2.5)) -> tuple[dict[str, Array], Array]:
    """Probabilities that know the label, each with noise of its own size."""
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, rows)
    found = {}
    for i, size in enumerate(noise):
        scores = 1.5 * np.eye(classes)[y] + size * random.standard_normal((rows, classes))
        powers = np.exp(scores)
        found[f"m{i}"] = powers / powers.sum(axis=1, keepdims=True)
    return found, y


def make_numbers(seed: int, rows: int = 200, noise: Sequence[float] = (0.5, 1.0, 2.0)) -> tuple[dict[str, Array], Array]:
    random = np.random.default_rng(seed)
    y = random.standard_normal(rows)
    return {f"m{i}": y + size * random.standard_normal(rows) for i, size in enumerate(noise)}, y


def slow_autogluon(
    predictions: Sequence[Array], loss: Callable[[Array], float], rounds: int, seed: int = 0
) -> tuple[list[float], list[float], list[int]]:
    """(weights, losses, members taken), step by step as AutoGluon's description says."""
    random = np.random.RandomState(seed)
    taken: list[int] = []
    losses: list[float] = []
    digits = None
    for _ in range(rounds):
        found = np.array([loss(np.mean([*[predictions[i] for i in taken], p], axis=0)) for p in predictions])
        if digits is not None:
            found = found.round(digits)
        equal = [int(i) for i in np.flatnonzero(np.isclose(found, found.min(), atol=0, rtol=1e-12))]
        if len(equal) > 1 and set(equal) & set(taken):
            equal = [i for i in equal if i in taken]
        chosen = int(random.choice(equal))
        value = float(found[chosen])
        if not taken and abs(value) > 1e-4:
            digits, value = 6, round(value, 6)
        taken.append(chosen)
        losses.append(value)
    size = losses.index(min(losses)) + 1
    return [taken[:size].count(i) / size for i in range(len(predictions))], losses, taken


def slow_auto_sklearn(predictions: Sequence[Array], loss: Callable[[Array], float], rounds: int) -> list[float]:
    """Weights of the last round, members without ties assumed."""
    taken: list[int] = []
    for _ in range(rounds):
        found = [loss(np.mean([*[predictions[i] for i in taken], p], axis=0)) for p in predictions]
        taken.append(int(np.argmin(found)))
    return [taken.count(i) / rounds for i in range(len(predictions))]
