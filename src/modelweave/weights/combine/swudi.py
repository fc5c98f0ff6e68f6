"""The change that interferes least with each member's inputs, as far as a spectral filter lets it (spectral WUDI)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..part import Context, tensors
from ..singular import eigen
from .iso_c import weighted_sum_of
from .linear import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


@tensors("time", "rank_share", sees="matrix", otherwise=weighted_mean)
def swudi(deltas: Tensor, context: Context, *, time: float, rank_share: float) -> Tensor:
    """x_0 (I - V f V') + D V (f / L) V': gradient flow for `time` from the sum x_0 down sum_j |(x - d_j) d_j'|^2 / |d_j|^2.

    C = sum_j d_j' d_j / |d_j|^2 = V L V', D = sum_j d_j d_j' d_j / |d_j|^2, f = 1 - exp(-time L) on the ceil(rank_share * columns)
    largest L, else 0. deltas: (members, rows, columns), times their weights; one of zeros has no say. Other tensors: sum_j w_j d_j /
    members. Computed in the joint row space of the members, outside of which all of it is 0. Source: arXiv 2606.07289 and the authors'
    code, whose defaults these are (rank_share 0.85 for language models; a configuration file there has time 1300 for images, and output
    heads are averaged); the loss: Cheng et al. 2025 (WUDI), arXiv 2503.08099, section 3.
    """
    import torch

    start = weighted_sum_of(deltas, context)
    weights = start.new_tensor(context.weights(len(deltas)))
    changes = deltas.double() * weights[:, None, None]
    energy = (changes**2).sum((1, 2))
    changes, energy = changes[energy > 0], energy[energy > 0]
    if not len(changes):
        return start.to(deltas.dtype)
    rows, columns = changes[0].shape
    basis = None
    if len(changes) * rows < columns:  # the row space is the smaller one
        basis = torch.linalg.qr(changes.reshape(-1, columns).T)[0]
        changes, start = changes @ basis, start @ basis
    c, d = changes.new_zeros(changes.shape[2], changes.shape[2]), torch.zeros_like(start)
    for change, size in zip(changes, energy, strict=True):
        gram = change.T @ change / size
        c += gram
        d += change @ gram
    values, v = eigen(c, max(rows, columns))
    # 0.07 * 100 is a little over 7
    keep = min(len(values), math.ceil(rank_share * columns - 1e-9))
    values, v = values[:keep], v[:, :keep]
    f = 1 - torch.exp(-time * values)
    merged = start + ((d @ v) * (f / values) - (start @ v) * f) @ v.T
    return (merged if basis is None else merged @ basis.T).to(deltas.dtype)
