"""The sum of changes with all its singular values made equal (isotropic merging)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors
from ..singular import nearest_orthonormal, product, thin_svd
from .linear import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


@tensors(sees="matrix", otherwise=weighted_mean)
def iso_c(deltas: Tensor, context: Context) -> Tensor:
    """mean(s) U V', with U diag(s) V' = sum_j w_j d_j, over the sum's numerical rank.

    deltas: (members, rows, columns). Other tensors: sum_j w_j d_j / members. The authors' code takes the mean over, and gives it to, all
    min(rows, columns) directions. For a sum of full rank that is the same; for sums of low rank (LoRA) it puts most of the result
    into arbitrary directions outside the changes, so that it depends on the order of the members. Source: Marczak et al. 2025,
    arXiv 2502.04959, section 4.1.

    >>> import torch
    >>> iso_c(torch.tensor([[[3.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]), Context("w", (2, 2))).round(decimals=4)
    tensor([[2., 0.],
            [0., 2.]])
    """
    u, s, v = thin_svd(weighted_sum_of(deltas, context))
    return product(s.sum() / max(len(s), 1) * u, v, deltas)


def weighted_sum_of(deltas: Tensor, context: Context) -> Tensor:
    """sum_j w_j d_j in float64; weights are 1 where the context holds none."""
    weights = context.weights(len(deltas))
    total = deltas[0].double() * float(weights[0])
    for weight, delta in zip(weights[1:], deltas[1:], strict=True):
        total += delta.double() * float(weight)
    return total


@tensors("common_fraction", sees="matrix", otherwise=weighted_mean)
def iso_cts(deltas: Tensor, context: Context, *, common_fraction: float) -> Tensor:
    """Isotropic over common directions and over each member's own: mean(s) P(U) P(V)', P the polar factor.

    U, s, V: the first triplets of sum_j w_j d_j, about common_fraction of min(rows, columns), and for each member equally many of what
    is left of w_j d_j outside the common left vectors. deltas: (members, rows, columns). Other tensors: sum_j w_j d_j / members.
    Source: Marczak et al. 2025, arXiv 2502.04959, section 4.2; the authors' code for the sizes.
    """
    import torch

    size, members = min(deltas.shape[1:]), len(deltas)
    own = round((size - int(size * common_fraction)) / members)
    common = size - own * members
    if common < 0:
        own, common = size // members, size - size // members * members
    weights = context.weights(members)
    u, s, v = thin_svd(weighted_sum_of(deltas, context), common)
    parts = [(u, s, v)]
    for w, d in zip(weights, deltas.double(), strict=True) if own else ():
        parts.append(thin_svd(float(w) * (d - u @ (u.T @ d)), own, part_of=abs(float(w)) * float(d.norm())))
    left, values, right = (torch.cat([part[i] for part in parts], -1) for i in range(3))
    if not len(values):
        return deltas[0] * 0
    return product(values.mean() * nearest_orthonormal(left), nearest_orthonormal(right), deltas)
