"""MagMax: at each entry the largest change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor


@tensors(sees="element")
def magmax(deltas: Tensor, context: Context) -> Tensor:
    """d_j of the j with the largest abs(d_j), entry by entry; of equally large ones the last.

    deltas: (members, ...). Source: Marczak et al. 2024, arXiv 2407.06322; equal magnitudes as in the authors' code (merge_max_abs).

    >>> import torch
    >>> magmax(torch.tensor([[1.0, 2.0], [-3.0, -2.0]]), Context("w", (2,)))
    tensor([-3., -2.])
    """
    import torch

    found = deltas[0]
    for delta in deltas[1:]:
        found = torch.where(delta.abs() >= found.abs(), delta, found)
    return found.clone()
