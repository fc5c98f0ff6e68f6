"""The members' changes in the joint column and row spaces of all of them (Core space)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..combine.iso_c import weighted_sum_of
from ..part import Context
from .knots import joint_basis

if TYPE_CHECKING:
    from torch import Tensor


def core_space(deltas: Tensor, context: Context) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """U' d_j V: U and V are orthonormal bases of the joint column and row spaces. Back by U ... V'.

    deltas: (members, rows, columns). For LoRA changes B_j A_j these are the spans of all B and of all A, so a core is at most
    (n r) x (n r). The bases are those of the changes themselves, by descending singular value; the authors' code takes those of the stacked
    factors, which for rules on single entries is another rotation of the same spaces. As in `knots`, what lies under the numerical rank
    is added as a plain sum. Source: Panariello et al. 2025, arXiv 2509.17786, section 3.

    >>> import torch
    >>> d = torch.tensor([[[3.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    >>> inside, back = core_space(d, Context("w", (2, 2)))
    >>> inside.shape, back(inside.sum(0))
    (torch.Size([2, 1, 1]), tensor([[4., 0.],
            [0., 0.]]))
    """
    wide = deltas.double()
    u, v = joint_basis(wide), joint_basis(wide.transpose(1, 2))
    total = weighted_sum_of(wide, context)
    rest = total - u @ (u.T @ total @ v) @ v.T
    return (u.T @ wide @ v).to(deltas.dtype), lambda merged: (u @ merged.double() @ v.T + rest).to(deltas.dtype)
