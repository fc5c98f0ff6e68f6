"""Least squares, ridge, the mean and nearest neighbours as smoothers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from .rows import Factored, Floats


def least_squares_rows(
    train: Floats, query: Floats, *, intercept: bool = True, ridge: float = 0.0, rank: int | None = None
) -> tuple[Factored, Floats]:
    """S = 1/n + (x - mean) (Xc' Xc + ridge I)^-1 Xc', with the pseudo-inverse where ridge is 0; and the singular values of Xc.

    train: (n, d), query: (m, d). intercept: centre by the training mean; without it, S = x (X' X + ridge I)^-1 X'. rank: singular
    directions that least squares keeps, all above rounding by default.

    Raises CompatibilityError for NaN or infinity.

    >>> rows, _ = least_squares_rows(np.array([[0.0], [1.0]]), np.array([[0.5], [2.0]]))
    >>> rows.block(0, 2).round(12)
    array([[ 0.5,  0.5],
           [-1. ,  2. ]])
    """
    if not (np.isfinite(train).all() and np.isfinite(query).all()):
        raise CompatibilityError("X_train and X must be finite for a linear model; fill or drop the rows with NaN or infinity")
    middle = train.mean(axis=0) if intercept else np.zeros(train.shape[1])
    outer, sizes, directions = np.linalg.svd(train - middle, full_matrices=False)
    if rank is None:
        rank = int(np.sum(sizes > np.finfo(np.float64).eps * max(train.shape) * sizes.max(initial=0.0)))
    kept = sizes[:rank]
    right = outer[:, :rank].T * (kept / (kept**2 + ridge))[:, None]
    left = (query - middle) @ directions[:rank].T
    if intercept:
        left = np.concatenate([left, np.ones((len(query), 1))], axis=1)
        right = np.concatenate([right, np.full((1, len(train)), 1 / len(train))])
    return Factored(left, right), sizes


def mean_rows(count: int, queries: int) -> Factored:
    """The training mean everywhere: s(x) = 1/n, so p0 = 1."""
    return Factored(np.ones((queries, 1)), np.full((1, count), 1 / count))


def neighbour_rows(
    neighbours: NDArray[np.integer], count: int, distances: Floats | None = None, weights: str | Callable[[Floats], Floats] = "uniform"
) -> Factored:
    """k nearest neighbours: s_i(x) = 1/k, or w_i / sum of w over the k neighbours.

    neighbours: (m, k) training rows, distances: (m, k). weights: "uniform", "distance" (1/d; rows at distance 0 share everything) or a
    function of the distances.

    Raises CompatibilityError where the weights of a query do not add up to a finite number other than 0.

    >>> neighbour_rows(np.array([[2, 0]]), 3, np.array([[1.0, 3.0]]), "distance").block(0, 1).toarray()
    array([[0.25, 0.  , 0.75]])
    """
    from scipy.sparse import csr_array

    m, k = neighbours.shape
    shares = np.ones((m, k))
    if callable(weights):
        shares = np.asarray(weights(_given(distances)), dtype=np.float64)
    elif weights == "distance":
        exact = _given(distances) == 0
        with np.errstate(divide="ignore"):
            shares = np.where(exact.any(axis=1, keepdims=True), exact, 1 / _given(distances))
    sums = shares.sum(axis=1, keepdims=True)
    if not np.isfinite(sums).all() or np.any(sums == 0):
        raise CompatibilityError("weights of the nearest neighbours add up to 0 or are not finite; use 'uniform' or other weights")
    return Factored(csr_array(((shares / sums).ravel(), neighbours.ravel(), np.arange(0, m * k + 1, k)), shape=(m, count)))


def _given(distances: Floats | None) -> Floats:
    if distances is None:
        raise CompatibilityError("weights of the nearest neighbours need their distances; pass distances of the same shape")
    return distances
