"""A small model whose output head is its input embedding."""

from __future__ import annotations

import torch


class Tied(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(64, 8), torch.nn.Linear(8, 64, bias=False)
        self.head.weight = self.embed.weight
        self.embed.weight.data.copy_(torch.randn(64, 8, generator=torch.Generator().manual_seed(seed)))
