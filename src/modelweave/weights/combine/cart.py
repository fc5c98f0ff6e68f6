"""Task arithmetic about the mean of the members instead of the base, at low rank (CART)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..part import Context, tensors
from ..singular import thin_svd
from .linear import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


@tensors("rank_share", "spread", sees="matrix", otherwise=weighted_mean)
def cart(deltas: Tensor, context: Context, *, rank_share: float, spread: float) -> Tensor:
    """mean + spread * sum_j w_j low_rank(d_j - mean), with ceil(rank_share * min(rows, columns)) singular directions each.

    deltas: (members, rows, columns). Other tensors: sum_j w_j d_j / members. At full rank the sum about the mean vanishes, so the low rank
    is what makes it a method. Source: Choi et al. 2024, arXiv 2412.12153, section 4.

    >>> import torch
    >>> d = torch.stack([torch.diag(torch.tensor([4.0, 1.0])), torch.diag(torch.tensor([0.0, 1.0]))])
    >>> cart(d, Context("w", (2, 2)), rank_share=0.5, spread=1.0).round(decimals=4)
    tensor([[2., 0.],
            [0., 1.]])
    """
    import torch

    mean = deltas.mean(0, dtype=torch.float64)
    keep = math.ceil(rank_share * min(deltas.shape[1:]))
    weights = context.weights(len(deltas))
    total = mean.clone()
    for w, delta in zip(weights, deltas, strict=True):
        u, s, v = thin_svd(delta.double() - mean, keep)
        total += spread * w * ((u * s) @ v.T)
    return total.to(deltas.dtype)
