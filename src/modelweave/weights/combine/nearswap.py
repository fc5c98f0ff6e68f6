"""One other model's entries, each approached by a step of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor


@tensors("t", sees="element")
def nearswap(deltas: Tensor, context: Context, *, t: float) -> Tensor:
    """d clamp(t / abs(d), 0, 1): steps of at most t towards the other model. Source: mergekit's method of that name.

    >>> import torch
    >>> nearswap(torch.tensor([[0.5, -4.0]]), Context("w", (2,)), t=1.0)
    tensor([ 0.5000, -1.0000])
    """
    delta = deltas[0]
    return delta * (t / delta.abs().clamp(min=1e-6)).clamp(0, 1)
