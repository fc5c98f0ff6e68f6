"""One other model's important entries."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..part import Context, tensors
from ..quantiles import FEW_PASSES, count_digits, find

if TYPE_CHECKING:
    from torch import Tensor


def _importance(deltas: Tensor, base: Tensor) -> Tensor:
    """abs(d) times the divergence of the rows as distributions: KL(softmax(base + d) || softmax(base)), rows along the last axis."""
    p = (base + deltas[0]).softmax(-1) + 1e-8
    q = base.softmax(-1) + 1e-8
    return deltas[0].abs() * (p * (p / q).log()).sum(-1, keepdim=True)


def _quartiles(context: Context) -> list[int]:
    """Their ranks."""
    return [int(quarter * (prod(context.shape) - 1)) for quarter in (0.25, 0.5, 0.75)]


def importances(deltas: Tensor, context: Context, seen: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Histograms on the way to the quartiles of the importances."""
    values = _importance(deltas, context.base).clamp(min=0).reshape(1, -1)
    return count_digits(values, seen, _quartiles(context), FEW_PASSES)


@tensors(sees="row", rounds=(importances, importances))
def arcee_fusion(deltas: Tensor, context: Context) -> Tensor:
    """Take the other model's entry where its importance reaches median + 1.5 (third - first quartile).

    importance = abs(d) KL(softmax(row of the other) || softmax(row of the base)). The quartiles are exact, of all entries, where mergekit
    draws a random sample above a million. Source: mergekit's arcee_fusion.
    """
    first, median, third = find(context.seen, _quartiles(context), FEW_PASSES)[0]
    threshold = float(median + np.float32(1.5) * (third - first))
    importance = _importance(deltas, context.base)
    return deltas[0] * (importance >= threshold)
