"""One other model's entries, each approached by a step of bounded size."""

from __future__ import annotations

from typing import Any

from ..formula import clamp, maximum
from ..part import Context, formula


@formula("t")
def nearswap(deltas: Any, context: Context, *, t: float) -> Any:
    """d clamp(t / abs(d), 0, 1): steps of at most t towards the other model. Source: mergekit's method of that name.

    >>> import torch
    >>> nearswap(torch.tensor([[0.5, -4.0]]), Context("w", (2,)), t=1.0)
    tensor([ 0.5000, -1.0000])
    """
    delta = deltas[0]
    return delta * clamp(t * (1.0 / maximum(abs(delta), 1e-6)), 0.0, 1.0)
