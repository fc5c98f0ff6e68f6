"""Reinforced Agent Merging: changes that several members made are averaged, those of one alone are kept whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..formula import maximum, where
from ..part import Context, Round, formula


@formula("epsilon")
def ram(deltas: Any, context: Context, *, epsilon: float) -> Any:
    """sum of d_j over the j with abs(d_j) > epsilon, divided by how many those are.

    deltas: (members, ...). Source: arXiv 2601.13572 (RAM), section 3.

    >>> import torch
    >>> ram(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), Context("w", (2,)), epsilon=1e-5)
    tensor([2., 2.])
    """
    changed = [abs(delta) > epsilon for delta in deltas]
    kept = sum(delta * own for delta, own in zip(deltas, changed, strict=True))
    return kept / maximum(sum(changed), 1.0)


def count_changes(deltas: Any, context: Context, *, epsilon: float, **_: float) -> list[Any]:
    """How many of each member's changes are shared with another, then how many are its own."""
    changed = [abs(delta) > epsilon for delta in deltas]
    several = sum(changed) > 1
    return [own * several for own in changed] + [own * (several < 1) for own in changed]


@formula("epsilon", "r", "alpha", rounds=(Round("sums", count_changes),))
def ramplus_tl(deltas: Any, context: Context, *, epsilon: float, r: float, alpha: float) -> Any:
    """As ram, and a member's own changes are multiplied by 1 + r min(shared / own, alpha), counts within the tensor.

    Source: arXiv 2601.13572 (RAM+), section 3; within each tensor as mergekit's ramplus_tl.
    """
    shared, own = context.seen[0].reshape(2, -1)
    factors = 1 + r * np.clip(shared / np.maximum(own, epsilon), 0, alpha)
    changed = [abs(delta) > epsilon for delta in deltas]
    kept = [delta * own for delta, own in zip(deltas, changed, strict=True)]
    several = maximum(sum(changed), 1.0)
    return sum(where(several > 1, value / several, value * float(factor)) for value, factor in zip(kept, factors, strict=True))
