"""One change that stands for all members: the elected sign with the largest magnitude (EMR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor


@tensors(sees="element")
def emr(deltas: Tensor, context: Context) -> Tensor:
    """sign(sum_j d_j) times the largest abs(d_j) among the members of that sign; a sum of 0 elects minus.

    deltas: (members, ...). Source: Huang et al. 2024 (EMR-Merging), arXiv 2405.17461, section 3.2; the authors' code for sums of 0.

    >>> import torch
    >>> emr(torch.tensor([[1.0, -4.0, 0.0], [2.0, 1.0, 0.0]]), Context("w", (3,)))
    tensor([ 2., -4., 0.])
    """
    sign = (deltas.sum(0) > 0).to(deltas.dtype) * 2 - 1
    return (deltas * sign).clamp(min=0).amax(0) * sign + 0.0


def own_entries(deltas: Tensor, unified: Tensor) -> Tensor:
    """Where a member moves as the unified change does: d_j * unified > 0, (members, ...) of true and false. Source: as above.

    >>> import torch
    >>> own_entries(torch.tensor([[1.0, -4.0], [2.0, 1.0]]), torch.tensor([2.0, -4.0])).tolist()
    [[True, True], [True, False]]
    """
    return deltas * unified > 0
