"""The layer structure of a checkpoint, inferred from its tensor names alone.

A stack is a prefix that is followed by the numbers 0, 1, 2, ... without a hole, as `model.layers.` in a decoder, `encoder.block.`
and `decoder.block.` in an encoder-decoder. Numbers further to the right (experts, inner blocks) belong to the layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import CompatibilityError

_LAYER_WORDS = frozenset(("layers", "layer", "h", "blocks", "block"))
_BEFORE = (
    "embed", "wte", "wpe", "position", "patch", "class_token", "cls_token", "shared", "conv1.", "conv2.", "conv_in", "stem",
    "ln_pre", "layernorm_pre", "pre_layrnorm", "pre_layernorm", "rotary", "relative", "altup_proj", "per_layer_",
)  # fmt: skip
_AFTER = ("embed_out", "lm_head", "unembed", ".embedding_norm.")


class LayerPlace(NamedTuple):
    """Where a tensor stands: its stack's prefix, the layer and the rest of its name."""

    stack: str
    layer: int
    rest: str

    @property
    def name(self) -> str:
        return ".".join([*([self.stack] if self.stack else []), str(self.layer), self.rest])


@dataclass(frozen=True)
class Layout:
    """stacks: prefix to number of layers, in order of appearance. places: of the tensors that stand in a stack."""

    stacks: Mapping[str, int]
    places: Mapping[str, LayerPlace]


def find_layout(names: Iterable[str]) -> Layout:
    """The stacks of layers among tensor names.

    A single layer counts as a stack only when its prefix ends in a word like `layers`.
    >>> find_layout(["wte", "h.0.attn", "h.1.attn", "norm"]).stacks
    {'h': 2}
    """
    numbers: dict[str, set[int]] = {}
    found: dict[str, list[LayerPlace]] = {}
    for name in names:
        words = name.split(".")
        found[name] = [
            LayerPlace(".".join(words[:i]), int(word), ".".join(words[i + 1 :]))
            for i, word in enumerate(words[:-1])
            if word.isascii() and word.isdigit() and str(int(word)) == word
        ]
        for place in found[name]:
            numbers.setdefault(place.stack, set()).add(place.layer)
    counts = {stack: len(seen) for stack, seen in numbers.items() if max(seen) == len(seen) - 1}
    good = {s for s, count in counts.items() if count > 1 or s.rpartition(".")[2] in _LAYER_WORDS}
    places = {}
    for name, candidates in found.items():
        chosen = next((p for p in candidates if p.stack in good), None)
        if chosen:
            places[name] = chosen
    return Layout({p.stack: counts[p.stack] for p in places.values()}, places)


def without_extra(layout: Layout, first: int) -> Layout:
    """The layout whose deepest stacks end before that layer; what stands there and after belongs to no stack.

    >>> without_extra(find_layout(["h.0.w", "h.1.w", "h.2.w"]), 2).stacks
    {'h': 2}
    """
    deepest = max(layout.stacks.values(), default=0)
    cut = {stack for stack, count in layout.stacks.items() if count == deepest > first}
    places = {name: place for name, place in layout.places.items() if place.stack not in cut or place.layer < first}
    return Layout({stack: first if stack in cut else count for stack, count in layout.stacks.items()}, places)


def main_stack(layout: Layout, declared: int | None, label: str) -> str:
    """The stack that `slices` speak of.

    declared: the config's number of layers, or None. Raises CompatibilityError when there is no stack, or several to choose from.
    """
    stacks = dict(layout.stacks)
    sides = {side for side in ("encoder", "decoder") for stack in stacks if side in stack.split(".")}
    for narrowed in (
        [s for s, count in stacks.items() if count == declared],
        list(stacks) if declared is None else [],
        [s for s in stacks if s.rpartition(".")[2] in _LAYER_WORDS] if declared is None else [],
    ):
        # one number in the config does not say which side of an encoder-decoder is meant
        if len(narrowed) == 1 and len(sides) < 2:
            return narrowed[0]
    seen = ", ".join(f"{stack} ({count} layers)" for stack, count in stacks.items())
    if not stacks:
        raise CompatibilityError(f"model '{label}': slices need numbered layers, its tensor names have none; use models")
    if declared is not None and declared not in stacks.values():
        raise CompatibilityError(f"model '{label}': config.json says {declared} layers, its tensors hold {seen}; correct config.json")
    raise CompatibilityError(f"model '{label}': slices need one stack of layers, found {seen}; name them under modules")


def comes_before_layers(name: str) -> bool:
    """Whether a tensor outside the layers is used before them, told by its name: embeddings, patches, stems.

    >>> [comes_before_layers(n) for n in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")]
    [True, False, False]
    """
    return any(word in name for word in _BEFORE) and not any(word in name for word in _AFTER)


def module_prefix(module: str, names: Iterable[str]) -> str | None:
    """The prefix of the tensors of a named module, or None when no name has it.

    `default` and the empty word mean all tensors. A word may be a whole prefix (`model.encoder`), one part of the names
    (`encoder`), or mergekit's own word for a part (`text_decoder`, `vision_tower`).
    >>> module_prefix("encoder", ["model.encoder.layers.0.weight", "model.decoder.norm"])
    'model.encoder.'
    """
    if module in ("", "default"):
        return ""
    word = module.rstrip(".")
    names = list(names)
    for synonym in (word, *_SYNONYMS.get(word, ())):
        for name in names:
            if name.startswith(synonym + "."):
                return synonym + "."
            if f".{synonym}." in name:
                return name[: name.index(f".{synonym}.") + len(synonym) + 2]
    return None


_SYNONYMS = {
    "text_decoder": ("language_model", "text_model", "llm", "model"),
    "vision_tower": ("visual", "vision_model", "vision_encoder"),
    "vision_model": ("visual", "vision_tower"),
    "multi_modal_projector": ("mm_projector", "projector", "merger"),
}
