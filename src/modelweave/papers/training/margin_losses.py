"""Margin losses that EnsLoss is measured against: fixed ones, and EnsLoss with a part of it changed."""

from __future__ import annotations

import torch
from torch.nn import functional

from ...training.ens_loss import EnsLoss, margin_derivatives

Tensor = torch.Tensor


class Turned(EnsLoss):
    """The same derivatives, the most negative one for the largest margin."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """In descending order, the tail's factor turned with the rest."""
        found = super().derivatives(margins)
        order = margins.argsort(stable=True)
        turned = torch.empty_like(found)
        turned[order] = found[order].flip(0)
        return turned


class TurnedDraws(EnsLoss):
    """The draws turned, the tail as it was."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """Descending up to margin 1."""
        found = torch.empty_like(margins)
        drawn = super().derivatives(torch.zeros_like(margins))  # of equal margins, so ascending
        found[margins.argsort(stable=True, descending=True)] = drawn
        tail: Tensor = found / margins.clamp(min=1)
        return tail


class TailOnly(EnsLoss):
    """No draws at all: -1, from margin 1 on -1 / margin."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """Of the loss 1 - z, from 1 on -log z."""
        return -torch.clamp(margins, min=1).reciprocal()


class Constant(EnsLoss):
    """The derivative -1 everywhere."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """Minus one."""
        return -torch.ones_like(margins)


class Quantiles(EnsLoss):
    """Derivatives without chance: a normal distribution's quantiles in place of draws."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """The same for every batch of that size."""
        places = (torch.arange(len(margins), dtype=margins.dtype) + 0.5) / len(margins)
        draws: Tensor = torch.special.ndtri(places)
        return margin_derivatives(margins, draws)


class Logistic(EnsLoss):
    """The logistic loss through EnsLoss's path."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """-sigmoid(-margin)."""
        return -torch.sigmoid(-margins)


class Flipped(EnsLoss):
    """EnsLoss with the wrong sign."""

    def derivatives(self, margins: Tensor) -> Tensor:
        """Above 0."""
        return -super().derivatives(margins)


def logistic(scores: Tensor, targets: Tensor) -> Tensor:
    """mean log(1 + exp(-y f))."""
    return functional.binary_cross_entropy_with_logits(scores, targets)


def hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """mean max(0, 1 - y f)."""
    return functional.relu(1 - (2 * targets - 1) * scores).mean()


def exponential(scores: Tensor, targets: Tensor) -> Tensor:
    """mean exp(-y f)."""
    return torch.exp(-(2 * targets - 1) * scores).mean()
