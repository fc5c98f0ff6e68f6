"""Keep the leading singular directions of each change, and its nuclear norm (STAR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors
from ..singular import thin_svd

if TYPE_CHECKING:
    from torch import Tensor


@tensors("nuclear_share", sees="matrix")
def star(deltas: Tensor, context: Context, *, nuclear_share: float) -> Tensor:
    """U_r diag(s_r) V_r' times sum(s) / sum(s_r), of each member; r is the first rank whose values sum to the share of all.

    deltas: (members, rows, columns). Source: Lee et al. 2025 (STAR), arXiv 2502.10339, section 3; the authors' code.

    >>> import torch
    >>> d = torch.diag(torch.tensor([3.0, 1.0, 1.0]))[None]
    >>> star(d, Context("w", (3, 3)), nuclear_share=0.4).diagonal(dim1=1, dim2=2).round(decimals=4)
    tensor([[5., 0., 0.]])
    """
    import torch

    return torch.stack([_truncated(delta, nuclear_share) for delta in deltas]).to(deltas.dtype)


def _truncated(delta: Tensor, share: float) -> Tensor:
    u, s, v = thin_svd(delta)
    if not len(s):
        return delta.double()
    reached = s.cumsum(0) >= s.sum() * share * (1 - 1e-12)
    rank = int(reached.double().argmax()) + 1
    return (u[:, :rank] * (s[:rank] * s.sum() / s[:rank].sum())) @ v[:, :rank].T
