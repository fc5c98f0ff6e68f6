"""One other model's important entries."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formula import maximum
from ..part import Context, Round, formula

if TYPE_CHECKING:
    from torch import Tensor


def divergence(deltas: Tensor, context: Context) -> Tensor:
    """KL(softmax(base + d) || softmax(base)) of each row along the last axis."""
    import torch

    p = (context.base + deltas[0]).softmax(-1).add_(1e-8)
    q = context.base.softmax(-1).add_(1e-8)
    found: Tensor = torch.div(p, q, out=q).log_().mul_(p).sum(-1)  # in place: these are whole rows, many at a time
    return found


def quartiles(deltas: Any, context: Context) -> tuple[list[Any], list[list[int]]]:
    """The importances, and the ranks of their quartiles."""
    return [maximum(_importance(deltas, context), 0.0)], [[int(quarter * (prod(context.shape) - 1)) for quarter in (0.25, 0.5, 0.75)]]


@formula(rounds=(Round("rows", divergence), Round("ranked", quartiles)))
def arcee_fusion(deltas: Any, context: Context) -> Any:
    """Take the other model's entry where its importance reaches median + 1.5 (third - first quartile).

    importance = abs(d) KL(softmax(row of the other) || softmax(row of the base)). The quartiles are exact, of all entries, where mergekit
    draws a random sample above a million. Source: mergekit's arcee_fusion.
    """
    first, median, third = context.seen[1][0].astype(np.float32)
    threshold = float(median + np.float32(1.5) * (third - first))
    return deltas[0] * (_importance(deltas, context) >= threshold)


def _importance(deltas: Any, context: Context) -> Any:
    return abs(deltas[0]) * context.seen[0]
