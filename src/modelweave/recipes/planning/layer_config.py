"""Where a config.json says how many layers there are, and what must change when their number does."""

from __future__ import annotations

import copy
import re
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

_NOT_BY_LAYER = re.compile(
    r"token|ids?$|architectures|conv|tdnn|section|label|language|^(image|patch|input|out)_|kernel|stride|dilation|channel|(mean|std)$"
    r"|stage_names|pinpoints|feature_layer"
)
"""Keys of lists that may be as long as there are layers, but by chance."""
_LISTS_OF_LAYERS = (
    "mlp_only_layers", "moe_layers", "full_attn_idxs", "attn_layer_indices", "cross_attention_layers", "hybrid_layer_ids",
    "fullatt_block_indexes", "deepstack_visual_indexes",
)  # fmt: skip
_BY_POSITION = (
    "first_k_dense_replace", "decoder_sparse_step", "interleave_moe_layer_step", "attn_layer_period", "attn_layer_offset",
    "expert_layer_period", "expert_layer_offset", "full_attention_interval", "sliding_window_pattern", "no_rope_layer_interval",
    "global_attn_every_n_layers", "cross_attention_interval", "num_dense_layers", "moe_layer_start_index", "moe_layer_end_index",
    "moe_layer_interval", "block_types",
)  # fmt: skip
_MAPPINGS_OF_LAYERS = ("per_layer_config", "pruned_heads")
_SHARES = ("hidden_size_per_layer_input",)
_ALTERNATING = ("gemma2",)
"""Models whose layers slide their window in turns, where no `layer_types` says which."""

FURTHER = "num_nextn_predict_layers"

Path = tuple[str, ...]
Part = tuple[Mapping[str, Any] | None, int, int]


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
    places = list(_places(config))
    told_apart = {side for path, _ in places for side in _sides_of(path)}
    # a model that is a tower itself has one count, without a word for the tower
    wanted = {side for side in _sides_of(tuple(stack.split("."))) if side in told_apart or side not in ("vision", "audio")}
    best: tuple[int, Path] | None = None
    for path, value in places:
        sides = _sides_of(path)
        if value != count or ({"vision", "audio"} & (sides ^ wanted)) or ({"encoder", "decoder"} <= (sides | wanted) - (sides & wanted)):
            continue
        score = len(sides & wanted) - len(sides - wanted)
        if best is None or score > best[0]:
            best = (score, path)
    if best and best[1] == ("num_layers",) and "decoder" in wanted and config.get("is_encoder_decoder"):
        return ("num_decoder_layers",)  # unsaid as long as it is the encoder's
    return best[1] if best else None


def with_layers(config: Mapping[str, Any], key: Path, parts: Sequence[Part]) -> dict[str, Any]:
    """The config for stacked layers: their number, lists with one entry a layer and lists of layers put together alike.

    parts: for each slice the config of the model that it comes from, its first layer and the one after its last.
    """
    result = copy.deepcopy(dict(config))
    spot: Any = result
    for word in key[:-1]:
        spot = spot[word]
    count = spot.get(key[-1], spot.get("num_layers"))
    for name, value in list(spot.items()):
        if isinstance(value, Mapping) and name in _MAPPINGS_OF_LAYERS:
            mappings = [_entry(other, (*key[:-1], name)) or {} for other, _, _ in parts]
            spot[name] = {str(number): mappings[k][str(n)] for k, n, number in _new_numbers(parts) if str(n) in mappings[k]}
        if not isinstance(value, list):
            continue
        lists = [(found if isinstance(found := _entry(other, (*key[:-1], name)), list) else value) for other, _, _ in parts]
        if name in _LISTS_OF_LAYERS:
            spot[name] = [number for k, layer, number in _new_numbers(parts) if layer in lists[k]]
        elif len(value) == count and not _NOT_BY_LAYER.search(name):
            spot[name] = [entry for held, (_, first, end) in zip(lists, parts, strict=True) for entry in held[first:end]]
    if key[-1] == "num_layers" and "num_decoder_layers" not in spot and spot.get("is_encoder_decoder"):
        spot["num_decoder_layers"] = count  # unsaid, it would follow the encoder's
    spot[key[-1]] = sum(end - first for _, first, end in parts)
    spot.update({FURTHER: 0} if spot.get(FURTHER) else {})
    return result


def without_further(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a model without layers that predict further tokens."""
    inner = config.get("text_config")
    nested = {"text_config": without_further(inner)} if isinstance(inner, Mapping) else {}
    return {**config, **nested, **({FURTHER: 0} if config.get(FURTHER) else {})}


def kinds_by_position(config: Mapping[str, Any], key: Path, parts: Sequence[Part]) -> tuple[str, ...]:
    """Keys that tell a layer's kind by its number, where the stack gives layers other numbers than they had."""
    shifts = {layer - number for _, layer, number in _new_numbers(parts)}
    if shifts == {0}:
        return ()
    spot = _entry(config, key[:-1])
    if not isinstance(spot, Mapping):
        return ()
    found = [name for name in (*_SHARES, "num_kv_shared_layers") if spot.get(name)]
    if "layer_types" in spot:
        return tuple(found)
    found += [name for name in _BY_POSITION if spot.get(name)]
    found += ["max_window_layers"] if spot.get("use_sliding_window") and "max_window_layers" in spot else []
    turned = any(shift % 2 for shift in shifts)
    found += ["sliding_window"] if turned and spot.get("model_type") in _ALTERNATING else []
    return tuple(found)


def sized_by_depth(config: Mapping[str, Any], key: Path, parts: Sequence[Part]) -> str | None:
    """The key that gives other tensors a share for each layer, where the stack has another number of them."""
    spot = _entry(config, key[:-1])
    changed = isinstance(spot, Mapping) and spot.get(key[-1]) != sum(end - first for _, first, end in parts)
    return next((name for name in _SHARES if changed and spot.get(name)), None)


def _new_numbers(parts: Sequence[Part]) -> Iterator[tuple[int, int, int]]:
    """(part, layer, its number in the stack) for each layer of the stack."""
    layers = [(k, layer) for k, (_, first, end) in enumerate(parts) for layer in range(first, end)]
    yield from ((k, layer, number) for number, (k, layer) in enumerate(layers))


def _entry(config: Mapping[str, Any] | None, path: Path) -> Any:
    spot: Any = config
    for word in path:
        spot = spot.get(word) if isinstance(spot, Mapping) else None
    return spot


def _sides_of(words: Path) -> set[str]:
    text = " ".join(words).lower()
    return {side for side, marks in _SIDES.items() if any(mark in text for mark in marks)}
