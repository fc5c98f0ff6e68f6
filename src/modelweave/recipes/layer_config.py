"""Where a config.json says how many layers there are, and what must change when their number does."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KEYS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers", "num_encoder_layers",
    "decoder_layers", "encoder_layers", "depth",
)  # fmt: skip
_SIDES = {
    "text": ("text", "language", "llm"),
    "vision": ("vision", "visual", "image", "vit"),
    "audio": ("audio", "speech"),
    "encoder": ("encoder",),
    "decoder": ("decoder",),
}

Path = tuple[str, ...]


def _places(config: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, int]]:
    for key in _KEYS:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            yield (*path, key), value
    for key, inner in config.items():
        if isinstance(inner, Mapping) and len(path) < 2 and (key.endswith("_config") or key in ("encoder", "decoder")):
            yield from _places(inner, (*path, key))


def declared_layers(config: Mapping[str, Any] | None) -> int | None:
    """The number of layers that a config gives for the whole model, else for its language part.

    >>> declared_layers({"n_layer": 12}), declared_layers({"text_config": {"num_hidden_layers": 4}})
    (12, 4)
    """
    places = list(_places(config or {}))
    sided = [(path, value) for path, value in places if not _sides_of(path)]
    text = [(path, value) for path, value in places if _sides_of(path) == {"text"}]
    for found in (sided, text):
        if found:
            return found[0][1]
    return None


def layers_key(config: Mapping[str, Any], stack: str, count: int) -> Path | None:
    """The path of the entry that counts the layers of a stack, the one that fits the stack's name best; None without one.

    >>> layers_key({"num_layers": 6, "num_decoder_layers": 6}, "decoder.block", 6)
    ('num_decoder_layers',)
    """
    wanted = _sides_of(tuple(stack.split(".")))
    best: tuple[int, Path] | None = None
    for path, value in _places(config):
        sides = _sides_of(path)
        if value != count or ({"vision", "audio"} & (sides ^ wanted)) or ({"encoder", "decoder"} <= (sides | wanted) - (sides & wanted)):
            continue
        score = len(sides & wanted) - len(sides - wanted)
        if best is None or score > best[0]:
            best = (score, path)
    return best[1] if best else None


def with_layers(config: Mapping[str, Any], key: Path, parts: Sequence[tuple[Mapping[str, Any] | None, int, int]]) -> dict[str, Any]:
    """The config for stacked layers: their number, and lists with one entry a layer (such as layer_types) put together alike.

    parts: for each slice the config of the model that it comes from, its first layer and the one after its last.
    """
    result = copy.deepcopy(dict(config))
    spot: Any = result
    for word in key[:-1]:
        spot = spot[word]
    count = spot[key[-1]]
    for name, value in list(spot.items()):
        if isinstance(value, list) and len(value) == count:
            joined: list[Any] = []
            for other, first, end in parts:
                source = _entry(other, (*key[:-1], name))
                joined += (source if isinstance(source, list) and len(source) >= end else value)[first:end]
            spot[name] = joined
    spot[key[-1]] = sum(end - first for _, first, end in parts)
    return result


def _entry(config: Mapping[str, Any] | None, path: Path) -> Any:
    spot: Any = config
    for word in path:
        spot = spot.get(word) if isinstance(spot, Mapping) else None
    return spot


def _sides_of(words: Path) -> set[str]:
    text = " ".join(words).lower()
    return {side for side, marks in _SIDES.items() if any(mark in text for mark in marks)}
