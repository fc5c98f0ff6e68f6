"""Moves from a base towards one other model, entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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


def _importance(deltas: Tensor, base: Tensor) -> Tensor:
    """abs(d) times the divergence of the rows as distributions: KL(softmax(base + d) || softmax(base)), rows along the last axis."""
    p = (base + deltas[0]).softmax(-1) + 1e-8
    q = base.softmax(-1) + 1e-8
    return deltas[0].abs() * (p * (p / q).log()).sum(-1, keepdim=True)


def _bits(importance: Tensor) -> NDArray[np.int64]:
    """Importances as integers of the same order: float32 bit patterns."""
    from torch import float32

    return importance.clamp(min=0).to(float32).cpu().contiguous().numpy().reshape(-1).view(np.uint32).astype(np.int64)


def coarse(deltas: Tensor, context: Context, seen: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Histogram of the importances over the upper 16 bits of their patterns."""
    return np.bincount(_bits(_importance(deltas, context.base)) >> 16, minlength=1 << 16).astype(np.float64)


def _places(coarse_counts: NDArray[np.float64]) -> list[tuple[int, int]]:
    """For the quartiles at index int(q (n - 1)): the bin that holds it and the position within the bin."""
    ends = coarse_counts.cumsum()
    found = []
    for quarter in (0.25, 0.5, 0.75):
        index = int(quarter * (ends[-1] - 1))
        home = int(np.searchsorted(ends, index, side="right"))
        found.append((home, int(index - (ends[home] - coarse_counts[home]))))
    return found


def fine(deltas: Tensor, context: Context, seen: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """(3, 65536): histograms over the lower 16 bits, within the bin of each quartile."""
    bits = _bits(_importance(deltas, context.base))
    return np.stack([np.bincount(bits[bits >> 16 == home] & 0xFFFF, minlength=1 << 16) for home, _ in _places(seen[0])]).astype(np.float64)


@tensors(sees="row", rounds=(coarse, fine))
def keep_important(deltas: Tensor, context: Context) -> Tensor:
    """Take the other model's entry where its importance reaches median + 1.5 (third - first quartile).

    importance = abs(d) KL(softmax(row of the other) || softmax(row of the base)). The quartiles are exact, of all entries, where mergekit
    draws a random sample above a million. Source: mergekit's arcee_fusion.
    """
    quartiles = []
    for (home, position), counts in zip(_places(context.seen[0]), context.seen[1], strict=True):
        low = int(np.searchsorted(counts.cumsum(), position, side="right"))
        quartiles.append(np.array(home << 16 | low, np.uint32).view(np.float32).item())
    first, median, third = (np.float32(q) for q in quartiles)
    threshold = float(median + np.float32(1.5) * (third - first))
    importance = _importance(deltas, context.base)
    return deltas[0] * (importance >= threshold)
