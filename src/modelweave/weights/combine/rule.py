"""How changes are combined in a space of their own, by a rule that the recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors
from .iso_c import iso_c, weighted_sum_of
from .linear import weighted_mean
from .tsv_m import tsv_m

if TYPE_CHECKING:
    from torch import Tensor

RULES = ("task_arithmetic", "ties", "tsv_m", "iso_c")


@tensors("rule", "density", sees="matrix", otherwise=weighted_mean)
def rule(deltas: Tensor, context: Context, *, rule: str, density: float) -> Tensor:
    """The sum, TIES, TSV-M or Iso-C of the changes in their space. deltas: (members, rows, columns).

    Other tensors: sum_j w_j d_j / members.
    """
    if deltas[0].numel() == 0:
        return deltas.sum(0)
    if rule == "tsv_m":
        return tsv_m(deltas, context)
    if rule == "iso_c":
        return iso_c(deltas, context)
    if rule == "ties":
        return trim_elect_mean(deltas, context, density)
    return weighted_sum_of(deltas, context).to(deltas.dtype)


def trim_elect_mean(deltas: Tensor, context: Context, density: float) -> Tensor:
    """TIES on whole tensors: the density share of each by magnitude, signs by the weighted sum, the mean of those that agree.

    Of equal magnitudes the first by place stay. Where the votes cancel the result is 0: singular vectors have arbitrary signs, so no sign
    can be the one to fall back on. The authors of KnOTS rank over all layers at once, here each tensor is ranked alone.

    >>> import torch
    >>> trim_elect_mean(torch.tensor([[[1.0, 4.0]], [[-3.0, 2.0]]]), Context("w", (1, 2)), 1.0)
    tensor([[-3.,  3.]])
    """
    import torch

    weights = deltas.new_tensor(context.weights(len(deltas)))
    flat = deltas.reshape(len(deltas), -1)
    count = max(1, int(density * flat.shape[1]))
    sizes = flat.abs()
    limit = sizes.kthvalue(flat.shape[1] - count + 1, dim=1, keepdim=True).values
    above, equal = sizes > limit, sizes == limit
    room = count - above.sum(1, keepdim=True)
    voices = weights[:, None] * flat * (above | (equal & (equal.cumsum(1) <= room)))
    sign = voices.sum(0, dtype=torch.float64).sign().to(flat.dtype)
    agree = (voices * sign > 0).to(flat.dtype)
    share = (agree * weights[:, None]).sum(0)
    merged = (agree * voices).sum(0) / torch.where(share == 0, 1, share)
    return merged.reshape(deltas.shape[1:])
