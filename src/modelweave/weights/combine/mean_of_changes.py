"""The weighted mean, as the last step of methods on matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors
from .iso_c import weighted_sum_of
from .linear import weighted_mean

if TYPE_CHECKING:
    from torch import Tensor


@tensors(sees="matrix", otherwise=weighted_mean)
def mean_of_changes(deltas: Tensor, context: Context) -> Tensor:
    """sum_j w_j d_j / members.

    >>> import torch
    >>> mean_of_changes(torch.tensor([[[1.0]], [[3.0]]]), Context("w", (1, 1)))
    tensor([[2.]])
    """
    return (weighted_sum_of(deltas, context) / len(deltas)).to(deltas.dtype)
