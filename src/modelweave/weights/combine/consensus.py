"""Consensus merging: the summed change, where enough members recognise their own in it."""

from __future__ import annotations

from typing import Any

from ..part import Context, column, formula


@formula("agree", wide=True)
def consensus(deltas: Any, context: Context, *, agree: int) -> Any:
    """s = sum_j weight_j d_j where at least `agree` members have abs(d_j) > mask_lambda_j abs(s - d_j), else 0.

    deltas: (members, ...). agree 0 keeps all of s, a number above that of the members nothing. Source: Wang et al. 2024,
    arXiv 2405.07813 (TALL masks, consensus merging); strictly greater, as in the authors' code. There each member's mask_lambda is
    chosen on validation data from 0.2, 0.3, ... 0.6, and s is the plain sum.

    >>> import torch
    >>> members = ({"weight": 1, "mask_lambda": 0.5},) * 2
    >>> consensus(torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.1, -1.0]]), Context("w", (3,), members), agree=2)
    tensor([2., 0., 0.])
    """
    weights, strictness = (column(context.members, name).tolist() for name in ("weight", "mask_lambda"))
    total = sum(weight * delta for weight, delta in zip(weights, deltas, strict=True))
    votes = sum(abs(delta) > factor * abs(total - delta) for factor, delta in zip(strictness, deltas, strict=True))
    return total * (votes >= agree)
