"""The safetensors format, read from its header without trust in it."""

from __future__ import annotations

import hashlib
from typing import Any

from ...errors import CheckpointError
from ...text.json_text import parse_json
from ..dtypes import DTYPES
from ..places.source import ByteSource, ended
from .file_tensor import FileTensor
from .weights_file import WeightsFile

HEADER_LIMIT = 100_000_000
"""The longest header in bytes, as in the safetensors library."""
_MOST_AXES = 32


def read_safetensors(source: ByteSource) -> WeightsFile:
    """The tensors of a safetensors file.

    Layout: 8 bytes N (unsigned, little-endian), N bytes of JSON, then the data. As in the safetensors library the tensors must
    cover the data without gaps, overlap or rest. Raises CheckpointError for anything else, before memory is taken for it.
    Source: the format's description in the safetensors repository.
    """
    raw = _header(source)
    where = source.where
    entries = parse_json(raw, f"{where}: its header", unique=True)
    metadata = _metadata(entries.pop("__metadata__", {}), where)
    begin = 8 + len(raw)
    spans = [(_span(name, entry, where, source.size - begin), name) for name, entry in entries.items()]
    _covered(sorted(spans), source.size - begin, source)
    tensors = {
        name: FileTensor(name, tuple(entries[name]["shape"]), entries[name]["dtype"], source, begin + first) for (first, _), name in spans
    }
    digest = hashlib.sha256(len(raw).to_bytes(8, "little") + raw).hexdigest()
    return WeightsFile(source, tensors, digest, metadata=metadata)


def _header(source: ByteSource) -> bytes:
    if source.size < 8:
        raise ended(source.where, 8, source.size)
    length = int.from_bytes(source.read(0, 8), "little")
    if length > HEADER_LIMIT:
        raise CheckpointError(
            f"{source.where}: its header claims {length} bytes, expected at most {HEADER_LIMIT}; it is damaged or no safetensors file"
        )
    if 8 + length > source.size:
        raise ended(source.where, 8 + length, source.size)
    raw = source.read(8, length)
    if not raw.startswith(b"{"):
        raise CheckpointError(f"{source.where}: its header does not begin with '{{'; it is damaged or no safetensors file")
    return raw


def _metadata(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise CheckpointError(f"{where}: __metadata__ must map text to text; get a fresh copy of the file")
    return dict(value)


def _span(name: str, entry: Any, where: str, room: int) -> tuple[int, int]:
    """The checked data offsets of one tensor."""
    shown = repr(name[:120])
    if not name.isascii() and _is_broken(name):
        raise CheckpointError(f"{where}: the tensor name {shown} is not valid text; get a fresh copy of the file")
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise CheckpointError(f"{where}: tensor {shown} lacks dtype, shape or data_offsets; get a fresh copy of the file")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise CheckpointError(f"{where}: tensor {shown} has the dtype {str(dtype)[:40]!r}, expected one of {known}; convert it first")
    if not _whole_numbers(shape) or len(shape) > _MOST_AXES:
        raise CheckpointError(
            f"{where}: the shape of tensor {shown} must be at most {_MOST_AXES} whole numbers from 0 on; get a fresh copy of the file"
        )
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(f"{where}: data_offsets of tensor {shown} must be a begin and an end; get a fresh copy of the file")
    if offsets[1] > room:
        raise CheckpointError(
            f"{where}: tensor {shown} ends at byte {offsets[1]} of the data, which has {room}; it is truncated, copy or download it again"
        )
    needed = elements(shape) * DTYPES[dtype].itemsize
    if needed != offsets[1] - offsets[0]:
        raise CheckpointError(
            f"{where}: tensor {shown} needs {needed} bytes for its shape and dtype, its data_offsets span "
            f"{offsets[1] - offsets[0]}; get a fresh copy of the file"
        )
    return offsets[0], offsets[1]


def _covered(spans: list[tuple[tuple[int, int], str]], room: int, source: ByteSource) -> None:
    """Refuse tensors that overlap, leave gaps, or leave bytes at the end."""
    reached, before = 0, ""
    for (first, last), name in spans:
        if first < reached:
            raise CheckpointError(f"{source.where}: tensors {before[:120]!r} and {name[:120]!r} overlap; get a fresh copy of the file")
        if first > reached:
            raise CheckpointError(
                f"{source.where}: {first - reached} bytes before tensor {name[:120]!r} belong to no tensor; get a fresh copy of the file"
            )
        reached, before = last, name
    if reached != room:
        raise CheckpointError(f"{source.where}: {room - reached} bytes at its end belong to no tensor; get a fresh copy of the file")


def elements(shape: list[int]) -> int:
    """The product of the lengths. The lengths are below 2**63, so it stays small enough to print."""
    count = 1
    for length in shape:
        count *= length
    return count


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _is_broken(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
