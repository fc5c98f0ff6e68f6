"""The leading singular triplets of every member, made orthogonal to each other (task singular vectors)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors
from ..singular import nearest_orthonormal, product, thin_svd
from .linear import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


@tensors(sees="matrix", otherwise=weighted_mean)
def tsv_m(deltas: Tensor, context: Context) -> Tensor:
    """P(U) diag(s) P(V)': U, s, V hold the first int(min(rows, columns) / members) triplets of each w_j d_j, P is the polar factor.

    deltas: (members, rows, columns). Other tensors: sum_j w_j d_j / members. Members that share a direction share it in the result too,
    where the authors' code fills what is missing with arbitrary orthonormal vectors. Singular vectors from Gram matrices in float64.
    Source: Gargiulo et al. 2025, arXiv 2412.00081, section 4; the authors' code.

    >>> import torch
    >>> d = torch.zeros(2, 2, 2); d[0, 0, 0], d[1, 1, 1] = 3.0, 2.0
    >>> tsv_m(d, Context("w", (2, 2))).round(decimals=4)
    tensor([[3., 0.],
            [0., 2.]])
    """
    import torch

    weights = context.weights(len(deltas))
    share = max(1, min(deltas.shape[1:]) // len(deltas))
    # more members than the matrix has directions: the first ones get theirs
    room = max(1, min(deltas.shape[1:]) // share)
    parts = [thin_svd(float(w) * d, share) for w, d in zip(weights, deltas, strict=True)][:room]
    u, s, v = (torch.cat([part[i] for part in parts], -1) for i in range(3))
    if not len(s):
        return deltas[0] * 0
    return product(nearest_orthonormal(u) * s, nearest_orthonormal(v), deltas)
