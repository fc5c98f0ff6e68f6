"""CABS: sparse changes that never meet, pruned one after another, evenly over each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor


@tensors("n", "m", sees="row")
def cabs(deltas: Tensor, context: Context, *, n: int, m: int) -> Tensor:
    """sum_j weight_j prune(d_j): of every m neighbours in a row, the n largest that no earlier member has taken.

    The members' order matters: the first chooses freely, and where earlier ones have taken m - n or more of a block, the rest has
    to do. deltas: (members, ...); a row is the last axis. A shorter block at the end of a row keeps its share, n / m rounded up (the
    authors' code for RoBERTa drops it whole, the one for 7B models refuses such tensors). Equal magnitudes rank by place.
    Source: Yang et al. 2025, arXiv 2503.01874; n:m on what is not yet taken as in the authors' prune_task_vector.py. Their script for
    7B models lets supports overlap where n >= m / 2; here they never do.

    >>> import torch
    >>> members = ({"weight": 1.0}, {"weight": 10.0})
    >>> cabs(torch.tensor([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]]), Context("w", (4,), members), n=1, m=2)
    tensor([ 4., 30.,  2., 10.])
    """
    import torch

    last = context.shape[-1] if context.shape else 1
    rows = deltas.reshape(len(deltas), -1, last)
    blocks = -(-last // m)
    room = torch.full((blocks,), min(n, m), device=deltas.device)
    if last % m:
        room[-1] = -(-n * (last % m) // m)
    places = torch.arange(m, device=deltas.device)
    free = _blocks(torch.ones_like(rows[0], dtype=torch.bool), m)
    total = torch.zeros_like(rows[0])
    for delta, options in zip(rows, context.members, strict=True):
        sizes = torch.where(free, _blocks(delta.abs(), m), -1.0)
        order = sizes.argsort(dim=-1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(-1, order, places.expand_as(order))
        taken = free & (rank < room[:, None])
        free &= ~taken
        total += float(options["weight"]) * delta * taken.reshape(len(taken), -1)[:, :last]
    return total.reshape(deltas.shape[1:])


def _blocks(rows: Tensor, m: int) -> Tensor:
    """(rows, last) as (rows, blocks, m), filled up with zeros."""
    from torch.nn.functional import pad

    return pad(rows, (0, -rows.shape[-1] % m)).reshape(len(rows), -1, m)
