"""Pools of models to learn choosing from: what is known of each member, and which subset would have been best."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError
from .calibration import reliability
from .intake import make_pool
from .metrics import METRICS, predicted

Floats = NDArray[np.float64]
EXHAUSTIVE = 12


def describe_members(predictions: Mapping[str, ArrayLike], y: ArrayLike) -> Floats:
    """What is known of each member, a row each.

    Recall of each class, log loss, calibration error, disagreement with the pool's mean, correlation with it.

    Args:
        predictions: name to (rows, classes) probabilities on probe rows.
        y: (rows,) their labels.

    Returns:
        (members, classes + 4).

    Raises:
        CompatibilityError: for numbers, and for rows that some member does not cover.

    >>> describe_members({"a": [[0.9, 0.1], [0.2, 0.8]], "b": [[0.9, 0.1], [0.6, 0.4]]}, [0, 1])[:, :2]
    array([[1., 1.],
           [1., 0.]])
    """
    pool, codes, _ = make_pool(predictions, y)
    if not pool.classes or not pool.complete.all():
        raise CompatibilityError("describe_members: expected probabilities of every member for every row")
    mean = np.mean(pool.values, axis=0)
    called = predicted(mean)
    rows = []
    for values in pool.values:
        own = predicted(values)
        recall = [float(np.mean(own[codes == k] == k)) if np.any(codes == k) else 0.0 for k in range(len(pool.labels))]
        flat, middle = values.ravel(), mean.ravel()
        spread = flat.std() * middle.std()
        near = float(np.mean((flat - flat.mean()) * (middle - middle.mean())) / spread) if spread > 0 else 0.0
        loss = METRICS["log_loss"].loss(codes, values)
        rows.append([*recall, loss, reliability(values, codes).error, float(np.mean(own != called)), near])
    return np.array(rows)


def best_subset(predictions: Mapping[str, ArrayLike], y: ArrayLike, size: int) -> NDArray[np.intp]:
    """Places of the `size` members whose plain mean has the least log loss, by trying all.

    Args:
        predictions: name to probabilities, (rows,) or (rows, classes), of at most 12 members.
        y: (rows,) labels.
        size: from 1 to the number of members.

    Raises:
        ParameterError: for more members, or another size.

    >>> best_subset({"a": [0.9, 0.2], "b": [0.4, 0.6], "c": [0.8, 0.1]}, [1, 0], 2)
    array([0, 2])
    """
    pool, codes, _ = make_pool(predictions, y)
    if len(pool.names) > EXHAUSTIVE:
        raise ParameterError(f"best_subset: tries all subsets, for pools of up to {EXHAUSTIVE}, got {len(pool.names)}")
    if not 1 <= size <= len(pool.names):
        raise ParameterError(f"size: expected a number from 1 to {len(pool.names)}, got {size}")
    # only the probability of what occurred counts
    truth = pool.of_truth(codes).astype(np.float64)
    tries = list(combinations(range(len(truth)), size))
    losses = [-np.log(np.maximum(truth[list(places)].mean(axis=0), 1e-15)).mean() for places in tries]
    return np.array(tries[int(np.argmin(losses))])


def make_pools(
    library: Mapping[str, ArrayLike], y: ArrayLike, *, members: int = 8, size: int = 3, count: int = 200, seed: int = 0
) -> tuple[Floats, NDArray[np.float32], list[list[str]]]:
    """Pools drawn from a library, described on half of the rows, with the subset that is best on the other half.

    To judge a chooser, draw its training and its test pools from different parts of the library.

    Args:
        library: name to probabilities, (rows,) or (rows, classes).
        y: (rows,) labels.
        members: in a pool, at most 12.
        size: of the best subset.
        count: how many pools.
        seed: of the draws.

    Returns:
        (count, members, features), (count, members) marks, and the names of each pool.

    Raises:
        CompatibilityError: for a library of fewer members than a pool has.

    >>> y = np.array([0, 1] * 10)
    >>> library = {name: np.where(y == 1, 0.5 + sure, 0.5 - sure) for name, sure in (("good", 0.4), ("fair", 0.2), ("poor", 0.1))}
    >>> features, marks, pools = make_pools(library, y, members=3, size=1, count=1)
    >>> features.shape, pools[0][marks[0].argmax()]
    ((1, 3, 6), 'good')
    """
    names = list(library)
    if len(names) < members:
        raise CompatibilityError(f"make_pools: expected a library of at least {members} members, got {len(names)}")
    random = np.random.default_rng(seed)
    targets = np.asarray(y)
    order = random.permutation(len(targets))
    probe, judge = order[: len(order) // 2], order[len(order) // 2 :]
    arrays = {name: np.asarray(values, np.float64) for name, values in library.items()}
    features, marks, pools = [], np.zeros((count, members), np.float32), []
    for row in range(count):
        chosen = [names[i] for i in random.choice(len(names), members, replace=False)]
        features.append(describe_members({name: arrays[name][probe] for name in chosen}, targets[probe]))
        marks[row, best_subset({name: arrays[name][judge] for name in chosen}, targets[judge], size)] = 1
        pools.append(chosen)
    return np.stack(features), marks, pools
