"""Where every tensor will lie, known before the first byte: shards, headers and offsets as safetensors has them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ...errors import OutputError
from ..dtypes import DTYPES

Spec = tuple[str, tuple[int, ...], str]
METADATA: Mapping[str, str] = MappingProxyType({"format": "pt"})
"""What loaders of PyTorch checkpoints expect in a header."""


@dataclass(frozen=True)
class Shard:
    """One file: its name, its header with the length in front, and the byte position of each tensor."""

    name: str
    header: bytes
    offsets: dict[str, int]
    size: int


def size_of(spec: Spec) -> int:
    """Bytes of a tensor's data.

    >>> size_of(("a", (2, 3), "BF16"))
    12
    """
    return math.prod(spec[1]) * DTYPES[spec[2]].itemsize


def shards_of(specs: Sequence[Spec], shard_size: int, stem: str = "model", metadata: Mapping[str, str] = METADATA) -> tuple[Shard, ...]:
    """Pack tensors in order into files of at most `shard_size` bytes of data; a larger tensor has one alone.

    Raises OutputError for a name that comes twice or that the format keeps for itself.

    >>> [s.name for s in shards_of([("a", (4,), "F32"), ("b", (4,), "F32")], 16)]
    ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    """
    _refuse_names(specs)
    groups: list[list[Spec]] = [[]]
    filled = 0
    for spec in specs:
        if groups[-1] and filled + size_of(spec) > shard_size:
            groups.append([])
            filled = 0
        groups[-1].append(spec)
        filled += size_of(spec)
    if len(groups) == 1:
        return (_shard(f"{stem}.safetensors", groups[0], metadata),)
    return tuple(_shard(f"{stem}-{i:05d}-of-{len(groups):05d}.safetensors", group, metadata) for i, group in enumerate(groups, 1))


def _refuse_names(specs: Sequence[Spec]) -> None:
    seen: set[str] = set()
    for name, _, _ in specs:
        if name in seen or name == "__metadata__":
            why = "comes twice" if name in seen else "is reserved in safetensors"
            raise OutputError(f"the tensor name '{name}' {why}; rename it")
        seen.add(name)


def _shard(name: str, specs: Sequence[Spec], metadata: Mapping[str, str]) -> Shard:
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    starts, at = {}, 0
    for spec in specs:
        starts[spec[0]] = at
        entries[spec[0]] = {"dtype": spec[2], "shape": list(spec[1]), "data_offsets": [at, at + size_of(spec)]}
        at += size_of(spec)
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return Shard(name, header, {key: len(header) + start for key, start in starts.items()}, len(header) + at)


def index_of(shards: Sequence[Shard]) -> bytes:
    """The index file of several shards."""
    total = sum(s.size - len(s.header) for s in shards)
    places = {name: shard.name for shard in shards for name in shard.offsets}
    return (json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2, sort_keys=True) + "\n").encode()
