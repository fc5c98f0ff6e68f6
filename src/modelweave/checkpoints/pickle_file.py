"""PyTorch's zip files of weights (.bin, .pt, .pth), read without torch and without running anything."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CheckpointError
from .dtypes import DTYPES
from .file_tensor import FileTensor, StridedTensor, in_order
from .pickle_globals import Storage, Stored
from .pickle_machine import unpickle
from .source import ByteSource, SourceFile, ended
from .tensors import Bytes, TensorRef
from .weights_file import WeightsFile

PICKLE_LIMIT = 512 << 20
"""The longest pickle in bytes; tensors stand outside of it."""
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
_MOST_EXPANDED = 64 << 20
_RESAVE = "load it with PyTorch where you trust it, and save its state_dict as safetensors"


def read_pickle_file(source: ByteSource) -> WeightsFile:
    """The tensors of a file that torch.save wrote; entries that are no tensors are listed in `ignored`.

    A state dict that stands inside a training checkpoint ({"state_dict": ..., "epoch": 3}) is found when there is one.
    Raises UnsafeFileError by name for whatever a state dict does not need, CheckpointError for damage.
    """
    start = source.read(0, min(4, source.size))
    if start == b"PK\x03\x04":
        value, storages, digest = _read_zip(source)
    else:
        from .legacy_pickle_file import read_legacy

        value, storages, digest = read_legacy(source)
    where = source.where
    state, ignored = state_dict_in(value, where)
    tensors: dict[str, TensorRef] = {}
    for name, entry in state.items():
        if isinstance(entry, Stored):
            tensors[str(name)] = reference(str(name), entry, storages, where)
        else:
            ignored[str(name)] = f"it is {described(entry)}, no tensor"
    return WeightsFile(source, tensors, digest, ignored=ignored)


def _read_zip(source: ByteSource) -> tuple[Any, Callable[[Storage], ByteSource], str]:
    where = source.where
    members = _members(source)
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise CheckpointError(f"{where}: is a zip file without PyTorch's data.pkl, expected what torch.save writes; {_RESAVE}")
    folder = pickles[0][: -len("data.pkl")]
    if folder + "constants.pkl" in members:
        raise CheckpointError(f"{where}: is a TorchScript program, expected a state dict; {_RESAVE}")
    order = members.get(folder + "byteorder")
    if order is not None and order.size <= 16 and order.read(0, order.size) != b"little":
        raise CheckpointError(f"{where}: was written on a big-endian machine, expected little-endian; {_RESAVE}")
    data = members[pickles[0]]
    if data.size > PICKLE_LIMIT:
        raise CheckpointError(f"{where}: its pickle has {data.size} bytes, expected at most {PICKLE_LIMIT}; {_RESAVE}")
    content = data.read(0, data.size)

    def storage(wanted: Storage) -> ByteSource:
        found = members.get(f"{folder}data/{wanted.key}")
        if found is None:
            raise CheckpointError(f"{where}: lacks the data of storage {wanted.key!r}; copy or download it again")
        return found

    return unpickle(io.BytesIO(content), where), storage, hashlib.sha256(content).hexdigest()


def _members(source: ByteSource) -> Mapping[str, ByteSource]:
    """The files inside a zip file, which must be stored as they are."""
    where = source.where
    try:
        with zipfile.ZipFile(io.BufferedReader(SourceFile(source), 1 << 16)) as archive:
            entries = archive.infolist()
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError, OverflowError, EOFError, MemoryError, OSError) as error:
        raise CheckpointError(f"{where}: its zip directory is damaged or cut short; copy or download it again") from error
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise CheckpointError(f"{where}: '{entry.filename[:80]}' in it is compressed or encrypted, expected plain bytes; {_RESAVE}")
        if entry.header_offset + 30 + entry.file_size > source.size:
            raise ended(source.where, entry.header_offset + 30 + entry.file_size, source.size)
    return {entry.filename: _Member(source, entry) for entry in entries}


class _Member(ByteSource):
    """One file inside a zip file. Its data begin behind a local header, whose length is only known by reading it."""

    def __init__(self, source: ByteSource, entry: zipfile.ZipInfo) -> None:
        self.source, self.size = source, entry.file_size
        self.name, self.where = source.name, source.where
        self._header, self._start = entry.header_offset, -1

    def read_into(self, offset: int, out: Bytes) -> None:
        if offset + out.nbytes > self.size:
            raise ended(self.where, offset + out.nbytes, self.size)
        if self._start < 0:
            self._start = self._find()
        self.source.read_into(self._start + offset, out)

    def _find(self) -> int:
        header = self.source.read(self._header, 30)
        name, extra = struct.unpack("<HH", header[26:30])
        start: int = self._header + 30 + name + extra
        if header[:4] != b"PK\x03\x04" or start + self.size > self.source.size:
            raise CheckpointError(f"{self.where}: a local header in its zip directory is damaged; copy or download it again")
        return start


def reference(name: str, stored: Stored, storages: Callable[[Storage], ByteSource], where: str) -> TensorRef:
    """The lazy tensor of a view into a storage, after checking that it stays inside."""
    shown = f"{where}: tensor {name[:120]!r}"
    if stored.dtype is None:
        raise CheckpointError(f"{shown} has the type {stored.type_name}, expected one of {', '.join(DTYPES)}; convert it first")
    size = DTYPES[stored.dtype].itemsize
    count = math.prod(stored.shape)
    source = storages(stored.storage)
    last = stored.offset + sum((n - 1) * stride for n, stride in zip(stored.shape, stored.strides, strict=True)) + 1 if count else 0
    if last * size > source.size:
        raise CheckpointError(f"{shown} needs {last * size} bytes of its storage, which has {source.size}; copy or download it again")
    if count * size > max(source.size, _MOST_EXPANDED):
        raise CheckpointError(f"{shown} repeats {source.size} bytes to {count * size}; save it with .contiguous() or leave it out")
    if not count or in_order(stored.shape, stored.strides):
        return FileTensor(name, stored.shape, stored.dtype, source, stored.offset * size if count else 0)
    return StridedTensor(name, stored.shape, stored.dtype, source, stored.offset, stored.strides)


def state_dict_in(value: Any, where: str) -> tuple[dict[Any, Any], dict[str, str]]:
    """The mapping that holds the tensors, and what stands around it."""
    if isinstance(value, Stored):
        raise CheckpointError(f"{where}: holds a single tensor, expected a mapping from name to tensor; save a state dict")
    if not isinstance(value, dict):
        raise CheckpointError(f"{where}: holds {described(value)}, expected a mapping from name to tensor; save a state dict")
    if _has_tensors(value):
        return value, {}
    holders = [key for key, entry in value.items() if isinstance(entry, dict) and _has_tensors(entry)]
    named = [key for key in holders if key in WRAPPERS]
    found = named if len(named) == 1 else holders
    if len(found) > 1:
        words = ", ".join(repr(str(key)[:40]) for key in found[:8])
        raise CheckpointError(f"{where}: has tensors under several keys ({words}), expected one state dict; save the one you mean")
    if not found:
        if not value:
            return value, {}
        raise CheckpointError(f"{where}: holds no tensors, expected a mapping from name to tensor; save a state dict")
    ignored = {str(key): f"it is {described(entry)} beside the state dict" for key, entry in value.items() if key != found[0]}
    return value[found[0]], ignored


def _has_tensors(value: dict[Any, Any]) -> bool:
    return any(isinstance(entry, Stored) for entry in value.values())


def described(value: Any) -> str:
    """A value in a few words, without looking deep into it.

    >>> described(3), described({"a": 1})
    ('the number 3', 'a mapping of 1')
    """
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, (int, float)):
        return f"the number {value!r}" if isinstance(value, float) or abs(value) < 10**30 else "a long number"
    if isinstance(value, (str, bytes)):
        return f"the text {value[:40]!r}"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, (list, tuple, set)):
        return f"a list of {len(value)}"
    return "a tensor" if isinstance(value, Stored) else "a value of another kind"
