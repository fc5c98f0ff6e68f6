"""Gated attention over the instances of a bag."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentionHead(nn.Module):
    """A bag of instances to its scores: v = W_e x + b; a = w'(tanh(V v) * sigmoid(U v)); z = sum softmax(a) v; scores = W_o z + c.

    instances: (bags, most, width); padded: (bags, most), True where there is no instance. Returns scores (bags, outputs) and
    attention (bags, most), which sums to 1 over the instances of a bag and is 0 elsewhere. Widths of 1,024 and 128 make 164,482 parameters.
    Source: Ilse et al. 2018, section 2.4 (arXiv 1802.04712); as in Filiot et al. 2024 (arXiv 2409.09173), one layer and no MLP after it.

    >>> sum(p.numel() for p in AttentionHead(1024, 128).parameters())
    164482
    """

    def __init__(self, width: int, hidden: int = 128, outputs: int = 1) -> None:
        super().__init__()
        self.embed = nn.Linear(width, hidden)
        self.signal = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, hidden)
        self.attend = nn.Linear(hidden, 1)
        self.score = nn.Linear(hidden, outputs)

    def forward(self, instances: Tensor, padded: Tensor) -> tuple[Tensor, Tensor]:
        embedded = self.embed(instances)
        weights = self.attend(torch.tanh(self.signal(embedded)) * torch.sigmoid(self.gate(embedded)))[..., 0]
        attention = weights.masked_fill(padded, -torch.inf).softmax(dim=1)
        return self.score((attention[..., None] * embedded).sum(dim=1)), attention


def pad(bags: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(bags, most, width) with zeros behind the instances of each, and (bags, most) flags of where."""
    most = max(len(bag) for bag in bags)
    filled = torch.zeros(len(bags), most, bags[0].shape[1])
    padded = torch.ones(len(bags), most, dtype=torch.bool)
    for row, bag in enumerate(bags):
        filled[row, : len(bag)] = bag
        padded[row, : len(bag)] = False
    return filled, padded
