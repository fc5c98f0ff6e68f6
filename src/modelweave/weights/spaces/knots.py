"""The members' changes in the coordinates of their joint left singular vectors (KnOTS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..combine.iso_c import weighted_sum_of
from ..part import Context
from ..singular import eigen

if TYPE_CHECKING:
    from torch import Tensor


def knots(deltas: Tensor, context: Context) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """U' d_j, with [d_1 ... d_n] = U S [V_1 ... V_n]; each is S V_j. Back by U.

    deltas: (members, rows, columns); results have the joint rank in place of rows. U are the eigenvectors of sum_j d_j d_j', or, where the
    joint width is smaller than the height, come from the Gram matrix on that side. Directions under the numerical rank, singular values of
    at most max(rows, members columns) float32 steps of the largest, are no coordinates: what all d_j have there is added as the plain
    sum_j w_j d_j, so that sums in this space are sums, whatever the spectrum. Source: Stoica et al. 2025, arXiv 2410.19735, section 4;
    S stays with V_j as in the authors' code.

    >>> import torch
    >>> d = torch.tensor([[[3.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [0.0, 0.0]]])
    >>> inside, back = knots(d, Context("w", (2, 2)))
    >>> inside.shape, back(inside.sum(0))
    (torch.Size([2, 1, 2]), tensor([[4., 2.],
            [0., 0.]]))
    """
    wide = deltas.double()
    u = joint_basis(wide)
    total = weighted_sum_of(wide, context)
    rest = total - u @ (u.T @ total)
    return (u.T @ wide).to(deltas.dtype), lambda merged: (u @ merged.double() + rest).to(deltas.dtype)


def joint_basis(matrices: Tensor) -> Tensor:
    """(rows, rank): an orthonormal basis of the columns of all matrices (n, rows, columns), by descending singular value."""
    n, rows, columns = matrices.shape
    if rows <= n * columns:
        return eigen((matrices @ matrices.transpose(1, 2)).sum(0), max(rows, n * columns))[1]
    side = matrices.transpose(0, 1).reshape(rows, n * columns)
    values, v = eigen(side.T @ side, rows)
    return side @ v / values.sqrt()
