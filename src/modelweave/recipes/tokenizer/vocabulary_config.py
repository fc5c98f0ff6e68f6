"""What a new vocabulary changes in a config: its size, and the ids of special tokens."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .vocabulary_tensors import vocab_configs

_IDS = re.compile(r"(?:^|_)token_(?:ids?|index)$")
_SIZES = ("padded_vocab_size", "n_words", "vocab_size_per_layer_input")
"""What single architectures call the number of rows beside vocab_size."""


def changed_size(config: Mapping[str, Any], rows: int, size: int) -> dict[str, Any]:
    """New values by dotted key. rows: what the config's model had; other sizes inside (a second tower's) stay.

    Nothing changes where the number of rows does not: some architectures have more rows than their vocab_size says.
    >>> changed_size({"text_config": {"vocab_size": 8}}, 8, 9)
    {'text_config.vocab_size': 9}
    """
    if rows == size:
        return {}
    paths = vocab_configs(config) or [()]
    first, *others = [".".join((*path, "vocab_size")) for path in paths]
    others += [".".join((*path, key)) for path in paths for key in _SIZES]
    return {key: size for key in (first, *others) if key == first or _at(config, key) == rows}


def changed_ids(
    config: Mapping[str, Any], old: Mapping[int, str], new: Mapping[str, int], other: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """New ids by dotted key, for every `*_token_id` whose token has moved.

    old: id to token before. new: token to id now. other: the config of the model whose tokenizer is used; it answers for
    tokens that are gone.
    >>> changed_ids({"eos_token_id": [1, 2], "hidden_size": 2}, {1: "</s>", 2: "<end>"}, {"</s>": 1, "<end>": 7})
    {'eos_token_id': [1, 7]}
    """
    changes = {}
    for key, value in _id_keys(config, ()):
        numbers = value if isinstance(value, list) else [value]
        moved = [new.get(old.get(i, "")) if i in old else i for i in numbers]
        result: Any = moved if isinstance(value, list) else moved[0]
        if None in moved:
            result = _at(other or {}, key)
            result = value if result is None else result
        if result != value:
            changes[key] = result
    return changes


def patched(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the config with values set by dotted key.

    >>> patched({"text_config": {"vocab_size": 8}}, {"text_config.vocab_size": 9})
    {'text_config': {'vocab_size': 9}}
    """
    result = copy.deepcopy(dict(config))
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        inner = result
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return result


def _id_keys(config: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _id_keys(value, (*path, str(key)))
        elif _IDS.search(str(key)) and _are_ids(value):
            yield ".".join((*path, str(key))), value


def _are_ids(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(type(v) is int for v in values)


def _at(config: Mapping[str, Any], dotted: str) -> Any:
    inner: Any = config
    for key in dotted.split("."):
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return inner
