"""Networks that read text, numbers and categories of a row together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from ...networks import load
from .network_inputs import Fusion, Inputs


class AttentionBlock(nn.Module):
    """One layer of a Transformer, normalised before each part."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.offer, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, *, first: bool = False) -> Tensor:
        """x: (rows, length, width). mask: (rows, length). first: only the first token comes out, (rows, 1, width)."""
        normal = self.before_attention(x)
        if first:
            x, asking = x[:, :1], normal[:, :1]
        else:
            asking = normal
        q = self.ask(asking).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.offer(normal).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        closeness = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        seen = closeness.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(dim=-1) @ v
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        mixed: Tensor = x + self.dropout(self.down(gelu(self.up(self.before_mlp(x)))))
        return mixed


class SmallEncoder(nn.Module):
    """A Transformer to be trained from scratch. The first token's vector stands for the row."""

    def __init__(
        self, vocabulary: int, *, width: int = 64, depth: int = 2, heads: int = 4, longest: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = width
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(longest, width)
        nn.init.normal_(self.words.weight, std=0.3)
        nn.init.normal_(self.places.weight, std=0.3)
        self.layers = nn.ModuleList(AttentionBlock(width, heads, dropout) for _ in range(depth))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, further: Tensor | None = None) -> Tensor:
        """(rows, width). further: (rows, more, width), tokens of other kinds, without a place."""
        x = self.dropout(self.words(tokens) + self.places.weight[: tokens.shape[1]])
        x, mask = _with(x, mask, further)
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, mask, first=number == len(self.layers))
        pooled: Tensor = self.norm(x[:, 0])
        return pooled


class FolderEncoder(nn.Module):
    """Any encoder that `networks.load` gives. The first token's vector stands for the row."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        # a pooler is not asked, and many folders have none
        self.model = load(folder, kind="base", allow=("pooler",), tokenizer=False).network
        self.width = int(self.model.config.hidden_size)

    def forward(self, tokens: Tensor, mask: Tensor, further: Tensor | None = None) -> Tensor:
        """(rows, width)."""
        x, mask = _with(self.model.get_input_embeddings()(tokens), mask, further)
        last: Tensor = self.model(inputs_embeds=x, attention_mask=mask.long()).last_hidden_state
        return last[:, 0]


def _with(x: Tensor, mask: Tensor, further: Tensor | None) -> tuple[Tensor, Tensor]:
    if further is None:
        return x, mask
    return torch.cat([x, further], 1), torch.cat([mask, mask.new_ones(further.shape[:2])], 1)


class FusionNetwork(nn.Module):
    """late: a vector of the text, one of the numbers, one of the categories, side by side into the head. early: numbers and categories
    are tokens that the text encoder reads, too. all_text: everything is text, so that the encoder's vector is all there is.
    """

    def __init__(
        self, text: Any, fusion: Fusion, numbers: int, levels: tuple[int, ...], outputs: int, *, width: int, dropout: float = 0.1
    ) -> None:
        """text: an encoder, or None where there is no text and nothing to fuse early. numbers: columns. levels: of each category column."""
        super().__init__()
        self.text, self.fusion = text, fusion
        early = fusion == "early"
        inner = text.width if early else width
        self.codes = nn.ModuleList(nn.Embedding(count, inner) for count in levels)
        self.slopes = nn.Parameter(0.3 * torch.randn(numbers, inner)) if early else None
        self.starts = nn.Parameter(0.3 * torch.randn(numbers, inner)) if early else None
        late_numbers, late_codes = numbers and not early, levels and not early
        self.numbers = _mlp(numbers, width, dropout) if late_numbers else None
        self.mix = _mlp(width * len(levels), width, dropout) if late_codes else None
        joint = (text.width if text is not None else 0) + width * (bool(late_numbers) + bool(late_codes))
        self.body = _mlp(joint, width, dropout)
        self.head = nn.Linear(width, outputs)

    def vector(self, inputs: Inputs) -> Tensor:
        """(rows, width of all parts): what the head reads, before it."""
        parts = []
        if self.text is not None:
            parts.append(self.text(inputs.tokens, inputs.mask, self._tokens(inputs) if self.fusion == "early" else None))
        if self.numbers is not None:
            parts.append(self.numbers(inputs.numbers))
        if self.mix is not None:
            parts.append(self.mix(torch.cat(self._embedded(inputs), dim=1)))
        return torch.cat(parts, dim=1)

    def forward(self, inputs: Inputs) -> Tensor:
        """(rows, outputs)."""
        out: Tensor = self.head(self.body(self.vector(inputs)))
        return out

    def _embedded(self, inputs: Inputs) -> list[Tensor]:
        return [table(inputs.codes[:, place]) for place, table in enumerate(self.codes)]

    def _tokens(self, inputs: Inputs) -> Tensor | None:
        assert self.slopes is not None and self.starts is not None
        parts = [inputs.numbers[:, :, None] * self.slopes + self.starts] if len(self.slopes) else []
        parts += [code[:, None] for code in self._embedded(inputs)]
        return torch.cat(parts, dim=1) if parts else None


def _mlp(inputs: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width), nn.GELU())


def rates(network: nn.Module, rate: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups with rates rate * decay^(layers above): the head and all that is not the encoder has `rate`, its top layer
    `decay` times as much, and its embeddings the least.

    Source: arXiv 2111.02705, section 4, decay 0.8.
    """
    encoder = dict(network.text.named_parameters()) if isinstance(network.text, nn.Module) else {}
    found = {name: re.search(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.", name) for name in encoder}
    depth = 1 + max((int(match[1]) for match in found.values() if match), default=-1)
    above = {}
    for name, match in found.items():
        low = "embed" in name.lower() or name.startswith(("words.", "places."))
        above["text." + name] = depth - int(match[1]) if match else (depth + 1 if low else 0)
    groups: dict[int, list[Any]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault(above.get(name, 0), []).append(parameter)
    return [{"params": parameters, "lr": rate * decay**steps} for steps, parameters in sorted(groups.items())]
