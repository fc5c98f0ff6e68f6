"""One change that stands for all members: the elected sign with the largest magnitude (EMR)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formula import maximum
from ..method import MemberMasks
from ..part import Context, formula


@formula()
def emr(deltas: Any, context: Context) -> Any:
    """sign(sum_j d_j) times the largest abs(d_j) among the members of that sign; a sum of 0 elects minus.

    deltas: (members, ...). Source: Huang et al. 2024 (EMR-Merging), arXiv 2405.17461, section 3.2; the authors' code for sums of 0.

    >>> import torch
    >>> emr(torch.tensor([[1.0, -4.0, 0.0], [2.0, 1.0, 0.0]]), Context("w", (3,)))
    tensor([ 2., -4., 0.])
    """
    sign = 2 * (sum(deltas) > 0) - 1
    return reduce(maximum, [delta * sign for delta in deltas], 0.0) * sign + 0.0


def own_entries(deltas: Any, unified: Any) -> Sequence[Any]:
    """Where a member moves as the unified change does: d_j * unified > 0, a condition a member. Source: as above.

    >>> import torch
    >>> own_entries(torch.tensor([[1.0, -4.0], [2.0, 1.0]]), torch.tensor([2.0, -4.0]))
    [tensor([True, True]), tensor([ True, False])]
    """
    return [delta * unified > 0 for delta in deltas]


def magnitudes(deltas: Any, unified: Any, masks: Sequence[Any]) -> list[Any]:
    """abs(d_j) of each member, then abs(mask_j * unified)."""
    return [*map(abs, deltas), *(mask * abs(unified) for mask in masks)]


def rescalers(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """sum abs(d_j) / sum abs(mask_j * unified) over the whole model, 1 where the mask is empty. sums: (members, 2). Source: as above.

    >>> rescalers(np.array([[3.0, 2.0], [1.0, 0.0]])).tolist()
    [1.5, 1.0]
    """
    total, masked = sums.T
    return np.where(masked > 0, total / np.where(masked > 0, masked, 1), 1.0)


MASKS = MemberMasks(own_entries, magnitudes, rescalers)
