"""The contract of everything that can be merged: named tensors that are read piece by piece, and where results go."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import CheckpointError
from .dtypes import DTYPES, Bytes


class InFile(NamedTuple):
    """Bytes of an open file, for code that reads or writes it without a detour through Python."""

    descriptor: int
    offset: int


class TensorRef(ABC):
    """One tensor that is read when asked, from several threads at once.

    Args:
        name: as in its checkpoint.
        shape: as stored.
        dtype: tag of what `read_into` delivers, as in "BF16".
        stored: tag that the checkpoint declares; it differs from dtype where a value is computed on read (an adapter over a base).
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, stored: str | None = None) -> None:
        self.name, self.shape, self.dtype, self.stored = name, tuple(shape), dtype, stored or dtype

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.count * DTYPES[self.dtype].itemsize

    @property
    def floating(self) -> bool:
        return DTYPES[self.dtype].floating

    @property
    def device(self) -> str:
        """Where its values stand, in PyTorch's words."""
        return "cpu"

    @property
    def held(self) -> int:
        """Bytes that stay in memory from its first read to its last."""
        return 0

    @abstractmethod
    def read_into(self, start: int, out: Bytes) -> None:
        """Fill a buffer with elements in C order.

        Args:
            start: flat index of the first.
            out: (bytes,) uint8, contiguous; its length says how many elements.
        """

    def at_hand(self, start: int) -> Bytes | InFile | None:
        """Where the elements from flat index `start` on already stand in C order: in memory, in an open file, or (None) in neither."""
        return None

    def read(self, start: int = 0, stop: int | None = None) -> Bytes:
        """Elements as bytes in a fresh array.

        Args:
            start: flat index of the first.
            stop: of the first that is left out; None for the end.
        """
        stop = self.count if stop is None else stop
        out = np.empty((stop - start) * DTYPES[self.dtype].itemsize, np.uint8)
        self.read_into(start, out)
        return out

    def identity(self) -> str:
        """For a tensor that is computed on read from its checkpoint's: how, as a text that a resumed run compares; empty for others."""
        return ""

    def to_torch(self) -> Any:
        """The whole tensor for PyTorch, in a copy of its own."""
        from .decode import as_torch

        return as_torch(self.read(), self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {'x'.join(map(str, self.shape))}, {self.dtype})"


class Checkpoint(Mapping[str, TensorRef]):
    """A mapping from tensor name to lazy reference, whatever stands behind it.

    Args:
        label: how the user named it, for messages.
        tensors: name to reference, in the order of the file.
        config: the parsed config.json or None.
        aliases: names that are not stored because they share another's data, as in lm_head.weight -> model.embed_tokens.weight.
        shared: names that are stored as views of another's data, as a state dict holds tied weights.
        buffers: names that a module declares as buffers (BatchNorm statistics); they are copied, never averaged.
        folder: on this machine's disk, None elsewhere.
        metadata: free text of the files' headers.
        warnings: sentences for the user.
        ignored: what is left out, with the reason: entries that are no tensors, further copies of the weights.
    """

    label: str
    config: dict[str, Any] | None
    aliases: Mapping[str, str]
    shared: Mapping[str, str]
    buffers: frozenset[str]
    folder: Path | None
    metadata: Mapping[str, str]
    warnings: tuple[str, ...]
    ignored: Mapping[str, str]

    def __init__(
        self,
        label: str,
        tensors: Mapping[str, TensorRef],
        *,
        config: dict[str, Any] | None = None,
        aliases: Mapping[str, str] | None = None,
        shared: Mapping[str, str] | None = None,
        buffers: frozenset[str] = frozenset(),
        folder: Path | None = None,
        metadata: Mapping[str, str] | None = None,
        warnings: Iterable[str] = (),
        ignored: Mapping[str, str] | None = None,
    ) -> None:
        for name in tensors:
            if not name.isascii() and not _is_text(name):
                raise CheckpointError(
                    f"model '{label}': the tensor name {name[:80]!r} is no valid text; rename it and save the model again"
                )
        self.label, self._tensors, self.config = label, dict(tensors), config
        self.aliases, self.shared, self.buffers = dict(aliases or {}), dict(shared or {}), buffers
        self.folder, self.metadata, self.warnings, self.ignored = folder, dict(metadata or {}), tuple(warnings), dict(ignored or {})

    def __getitem__(self, name: str) -> TensorRef:
        return self._tensors[name]

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def side_files(self) -> tuple[str, ...]:
        """Names of the files beside the weights (config, tokenizer, processor, card), without the weights."""
        return ()

    def side_file(self, name: str) -> bytes:
        """The content of one side file."""
        raise KeyError(name)

    def parts(self) -> tuple[Checkpoint, ...]:
        """The checkpoints that this one is computed from, as a base and an adapter; none for one that is read as it stands."""
        return ()

    def folders(self) -> tuple[Path, ...]:
        """The folders on this machine's disk that it is read from, its own and those of its parts."""
        own = () if self.folder is None else (self.folder,)
        return (*own, *(folder for part in self.parts() for folder in part.folders()))

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        """Where this came from, for the manifest: path or repository, revision, files with size and hash where known.

        hash_large: whether large files are read for their hash.
        """
        parts = [part.provenance(hash_large=hash_large) for part in self.parts()]
        return {"label": self.label} | ({"parts": parts} if parts else {})

    def fingerprint(self) -> str:
        """A cheap sha256 that changes with what is read, as far as that can be told; a resumed run compares it."""
        how = [[ref.name, ref.identity()] for ref in self.values()]
        return fingerprint_of(self.values(), [how, [part.fingerprint() for part in self.parts()]])

    def check_unchanged(self) -> None:
        """Raise CheckpointError when what is read was changed since it was opened, as far as that can be told."""
        for part in self.parts():
            part.check_unchanged()

    def close(self) -> None:
        """Give open files back; they are given back anyway when the checkpoint is no longer used."""
        for part in self.parts():
            part.close()


def fingerprint_of(tensors: Iterable[TensorRef], more: Any) -> str:
    """The sha256 of tensors' names, shapes and types, and of anything else that JSON can hold."""
    rows = sorted([ref.name, list(ref.shape), ref.dtype, ref.stored] for ref in tensors)
    return hashlib.sha256(json.dumps([rows, more], sort_keys=True, default=str).encode()).hexdigest()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


class Sink(Protocol):
    """Where merged tensors go. `write` is called from several threads, for disjoint parts."""

    def is_done(self, name: str) -> bool:
        """Whether an earlier run finished this tensor."""

    def write(self, name: str, start: int, data: Bytes) -> None:
        """Store the elements from flat index `start` on."""

    def room(self, name: str, start: int, count: int) -> AbstractContextManager[Bytes | InFile | None]:
        """Where `count` elements may be put instead of a call of `write`, as long as the context lasts; None: only `write` will do."""

    def finish(self, name: str, notes: tuple[str, ...] = ()) -> None:
        """The tensor is whole. notes: what the report says of it."""

    def notes(self, name: str) -> tuple[str, ...]:
        """What an earlier run noted of a tensor that it finished."""


class TensorFile(Protocol):
    """Tensors that are written in any order."""

    def write(self, name: str, start: int, data: Bytes) -> None:
        """Store the elements from flat index `start` on."""


class SideSink(Protocol):
    """Where files of tensors beside a result go."""

    def side_tensors(
        self, stem: str, specs: Sequence[tuple[str, tuple[int, ...], str]], metadata: Mapping[str, str]
    ) -> AbstractContextManager[TensorFile]:
        """A file with tensors of these names, shapes and dtype tags, to be filled inside the context."""


def same_places(tensors: Mapping[str, TensorRef], places: Mapping[str, Any]) -> dict[str, str]:
    """Names of tensors that lie where an earlier one does, with that one's name. places: where each lies, with shape, order and type."""
    first: dict[Any, str] = {}
    found = {name: first.setdefault(place, name) for name, place in places.items() if tensors[name].count}
    return {name: other for name, other in found.items() if other != name}
