"""The members' changes in the joint column and row spaces of all of them (Core space)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..part import Context
from .knots import joint_basis

if TYPE_CHECKING:
    from torch import Tensor


def core_space(deltas: Tensor, context: Context) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """U' d_j V: U and V are orthonormal bases of the joint column and row spaces. Back by U ... V'. Nothing is lost on the way.

    deltas: (members, rows, columns). For LoRA changes B_j A_j these are the spans of all B and of all A, so a core is at most
    (n r) x (n r). The bases are those of the changes themselves, by descending singular value; the authors' code takes those of the stacked
    factors, which for rules on single entries is another rotation of the same spaces. Source: Panariello et al. 2025,
    arXiv 2509.17786, section 3.
    """
    wide = deltas.double()
    u, v = joint_basis(wide).to(deltas.dtype), joint_basis(wide.transpose(1, 2)).to(deltas.dtype)
    return u.T @ deltas @ v, lambda merged: u @ merged @ v.T
