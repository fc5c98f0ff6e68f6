"""Reinforced Agent Merging: changes that several members made are averaged, those of one alone are kept whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor


@tensors("epsilon", sees="element")
def ram(deltas: Tensor, context: Context, *, epsilon: float) -> Tensor:
    """sum of d_j over the j with abs(d_j) > epsilon, divided by how many those are.

    deltas: (members, ...). Source: arXiv 2601.13572 (RAM), section 3.

    >>> import torch
    >>> ram(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), Context("w", (2,)), epsilon=1e-5)
    tensor([2., 2.])
    """
    changed = deltas.abs() > epsilon
    return (deltas * changed).sum(0) / changed.sum(0).clamp(min=1)


def count_changes(
    deltas: Tensor, context: Context, seen: tuple[NDArray[np.float64], ...], *, epsilon: float, **_: float
) -> NDArray[np.float64]:
    """(2, members): how many of a member's changes are shared with another, and how many are its own."""
    changed = deltas.abs() > epsilon
    rows = changed.reshape(len(changed), -1)
    shared = (rows & (rows.sum(0) > 1)).sum(1)
    return np.stack([shared.cpu().numpy(), (rows.sum(1) - shared).cpu().numpy()]).astype(np.float64)


@tensors("epsilon", "r", "alpha", sees="element", rounds=(count_changes,))
def ramplus_tl(deltas: Tensor, context: Context, *, epsilon: float, r: float, alpha: float) -> Tensor:
    """As ram, and a member's own changes are multiplied by 1 + r min(shared / own, alpha), counts within the tensor.

    Source: arXiv 2601.13572 (RAM+), section 3; within each tensor as mergekit's ramplus_tl.
    """
    shared, own = context.seen[0]
    factor = deltas.new_tensor(1 + r * np.clip(shared / np.maximum(own, epsilon), 0, alpha))
    changed = deltas.abs() > epsilon
    several = changed.sum(0).clamp(min=1)
    alone = (several == 1).to(deltas.dtype)
    kept = deltas * changed
    scaled = kept * factor.reshape(-1, *[1] * (deltas.dim() - 1))
    return (scaled * alone + kept * (1 - alone) / several).sum(0)
