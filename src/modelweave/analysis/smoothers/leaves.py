"""Trees as smoothers: a query takes the mean of the training rows in its leaf; a forest the mean of its trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from .rows import Factored, Floats

Ids = NDArray[np.int64]


def multiplicities(drawn: NDArray[np.integer] | None, count: int) -> Floats:
    """(count,) how often each training row was drawn; once each where nothing was drawn.

    >>> multiplicities(np.array([0, 0, 2]), 4)
    array([2., 0., 1., 0.])
    """
    return np.ones(count) if drawn is None else np.bincount(drawn, minlength=count).astype(np.float64)


def leaf_rows(train_leaves: Ids, query_leaves: Ids, weights: Floats) -> Factored:
    """One tree: s_i(x) = w_i [leaf(x_i) = leaf(x)] / sum of w_l over the rows l in that leaf.

    train_leaves: (n,) and query_leaves: (m,) non-negative leaf ids. weights: (n,) multiplicities. A row that was not drawn has no weight,
    not even on itself.

    Raises CompatibilityError where a query's leaf holds no drawn training row. Source: Curth et al. 2024, arXiv 2402.01502, section 3.

    >>> leaf_rows(np.array([0, 0, 3]), np.array([3, 0]), np.ones(3)).block(0, 2).toarray()
    array([[0. , 0. , 1. ],
           [0.5, 0.5, 0. ]])
    """
    from scipy.sparse import csr_array

    ids = int(max(train_leaves.max(initial=0), query_leaves.max(initial=0))) + 1
    sums = np.bincount(train_leaves, weights, minlength=ids)
    held = sums > 0
    if not held[query_leaves].all():
        raise CompatibilityError(
            f"X_train: {int((~held[query_leaves]).sum())} of {len(query_leaves)} queries fall into leaves without a training row; "
            "give the rows that the model was fitted on, in their order"
        )
    places = np.cumsum(held) - 1
    m, inside = len(query_leaves), np.flatnonzero(weights > 0)
    left = csr_array((np.ones(m), places[query_leaves], np.arange(m + 1)), shape=(m, int(held.sum())))
    own = train_leaves[inside]
    right = csr_array((weights[inside] / sums[own], (places[own], inside)), shape=(int(held.sum()), len(train_leaves)))
    return Factored(left, right)


def check_leaf_sizes(name: str, train_leaves: Ids, weights: Floats, sizes: Sequence[float] | Floats) -> None:
    """That X_train fills the leaves as it did when the tree was fitted. sizes: the tree's weighted count of each node.

    Raises CompatibilityError: other rows, another order of them, or rows that were weighted while fitting.
    """
    found = np.bincount(train_leaves, weights, minlength=len(sizes))
    own = np.unique(train_leaves)
    if not np.allclose(found[own], np.asarray(sizes)[own], rtol=1e-9):
        raise CompatibilityError(
            f"X_train does not fill the leaves of {name} as when it was fitted; give the rows that it was fitted on, in their order "
            "(rows weighted by sample_weight or class_weight are not supported)"
        )
