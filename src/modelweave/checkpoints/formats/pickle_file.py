"""PyTorch's zip files of weights (.bin, .pt, .pth), read without torch and without running anything."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import CheckpointError
from ..dtypes import DTYPES, Bytes
from ..places.source import ByteSource, SourceFile, ended
from ..tensors import InFile, TensorRef, same_places
from .file_tensor import FileTensor, StridedTensor, in_order
from .pickle_globals import Storage, Stored
from .pickle_machine import unpickle
from .state_dict import described, name_of, state_dict_in
from .weights_file import WeightsFile

PICKLE_LIMIT = 512 << 20
"""The longest pickle in bytes; tensors stand outside of it."""
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
    if not isinstance(value, dict):
        kind = "a single tensor" if isinstance(value, Stored) else described(value)
        raise CheckpointError(f"{where}: holds {kind}, expected a mapping from name to tensor; save a state dict")
    state, around = state_dict_in(value, where, _is_tensor)
    if state and not any(map(_is_tensor, state.values())):
        raise CheckpointError(f"{where}: holds no tensors, expected a mapping from name to tensor; save a state dict")
    tensors: dict[str, TensorRef] = {}
    ignored: dict[str, str] = {}
    places: dict[str, Any] = {}
    for key, entry in state.items():
        name = name_of(key, where)
        if name in tensors or name in ignored:
            raise CheckpointError(f"{where}: has two entries that are called '{name[:80]}'; rename one and save it again")
        if isinstance(entry, Stored):
            tensors[name] = reference(name, entry, storages, where)
            places[name] = (entry.storage.key, entry.offset, entry.shape, entry.strides, entry.dtype)
        else:
            ignored[name] = f"it is {described(entry)}, no tensor"
    return WeightsFile(source, tensors, digest, ignored={**around, **ignored}, shared=same_places(tensors, places))


def _is_tensor(entry: Any) -> bool:
    return isinstance(entry, Stored)


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
        self.source.read_into(self._begin() + offset, out)

    def in_file(self) -> InFile | None:
        found = self.source.in_file()
        return found and InFile(found.descriptor, found.offset + self._begin())

    def _begin(self) -> int:
        if self._start >= 0:
            return self._start
        header = self.source.read(self._header, 30)
        name, extra = struct.unpack("<HH", header[26:30])
        start: int = self._header + 30 + name + extra
        if header[:4] != b"PK\x03\x04" or start + self.size > self.source.size:
            raise CheckpointError(f"{self.where}: a local header in its zip directory is damaged; copy or download it again")
        self._start = start
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
