"""PyTorch's files from before version 1.6: five pickles, then the storages one after another."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

from ...errors import CheckpointError
from ..dtypes import DTYPES
from ..places.source import ByteSource, Section, SourceFile
from .pickle_globals import Storage, Stored
from .pickle_machine import unpickle

_MAGIC = 0x1950A86A20F9469CFC6C
_RESAVE = "load it with PyTorch where you trust it, and save its state_dict as safetensors"


def read_legacy(source: ByteSource) -> tuple[Any, Callable[[Storage], ByteSource], str]:
    """The value, where its storages stand, and the sha256 of everything before them.

    Layout: pickles of a magic number, the protocol 1001, facts about the machine, the value and the storages' keys; then for each
    key 8 bytes with the number of elements (little-endian) and the elements.
    Files of version 0.1 (tar) are refused.
    """
    where = source.where
    stream = io.BufferedReader(SourceFile(source), 1 << 16)
    if source.size < 2 or stream.peek(1)[:1] != b"\x80":
        raise CheckpointError(f"{where}: is no file of torch.save; copy or download it again, or {_RESAVE}")
    if unpickle(stream, where) != _MAGIC or unpickle(stream, where) != 1001:
        raise CheckpointError(f"{where}: is a pickle, but none of torch.save; {_RESAVE}")
    facts = unpickle(stream, where)
    if isinstance(facts, dict) and facts.get("little_endian") is False:
        raise CheckpointError(f"{where}: was written on a big-endian machine, expected little-endian; {_RESAVE}")
    value, keys = unpickle(stream, where), unpickle(stream, where)
    sizes = {storage.key: storage for storage in storages_of(value)}
    at = stream.tell()
    digest = hashlib.sha256(source.read(0, at)).hexdigest() if at < 1 << 29 else ""
    found: dict[str, ByteSource] = {}
    for key in keys if isinstance(keys, list) else []:
        count = int.from_bytes(source.read(at, 8), "little") if at + 8 <= source.size else -1
        storage = sizes.get(str(key)[:200])
        if count < 0 or storage is None or count != storage.count or storage.dtype is None:
            raise CheckpointError(f"{where}: its storages are damaged or cut short; copy or download it again, or {_RESAVE}")
        size = count * DTYPES[storage.dtype].itemsize
        if at + 8 + size > source.size:
            raise CheckpointError(f"{where}: its storages are damaged or cut short; copy or download it again, or {_RESAVE}")
        found[storage.key] = Section(source, at + 8, size)
        at += 8 + size

    def lookup(wanted: Storage) -> ByteSource:
        if wanted.key not in found:
            raise CheckpointError(f"{where}: lacks the data of storage {wanted.key!r}; copy or download it again")
        return found[wanted.key]

    return value, lookup, digest


def storages_of(value: Any) -> list[Storage]:
    """Every storage that is used somewhere in a value; shared and circular parts are visited once."""
    found, seen, open_ = [], set(), [value]
    while open_:
        part = open_.pop()
        if isinstance(part, Stored):
            found.append(part.storage)
        elif isinstance(part, (dict, list, tuple)) and id(part) not in seen:
            seen.add(id(part))
            open_.extend(part.values() if isinstance(part, dict) else part)
    return found
