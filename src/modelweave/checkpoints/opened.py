"""A checkpoint that is read from files: its tensors, side files, origin and fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError
from ..text.json_text import parse_json
from .formats.by_ending import read_weights
from .formats.shards import Weights, read_folder
from .places.place import Place, side_names
from .places.source import ByteSource, LocalSource, source_sha256
from .tensors import Checkpoint, fingerprint_of
from .ties import further_names, tied_heads

HASHED_FREELY = 256 << 20
"""Files below this size in bytes are hashed for the manifest without being asked."""


class FileCheckpoint(Checkpoint):
    """Weights in one file, or in a folder with config, tokenizer and their kin."""

    def __init__(self, label: str, weights: Weights, place: Place | None, origin: Mapping[str, Any]) -> None:
        config = None
        names = {} if place is None else place.sizes()
        if place is not None and "config.json" in names:
            config = parse_json(place.read("config.json"), f"{place.where}: 'config.json'")
        shared = {name: first for file in weights.files for name, first in file.shared.items()}
        aliases = {**tied_heads(config, weights.tensors), **further_names(config, weights.tensors, shared)}
        tensors = {name: ref for name, ref in weights.tensors.items() if name not in aliases}
        shared = {name: first for name, first in shared.items() if name in tensors and first in tensors}
        super().__init__(
            label,
            tensors,
            config=config,
            aliases=aliases,
            shared=shared,
            folder=None if place is None else place.folder,
            metadata=weights.metadata,
            warnings=(*weights.warnings, *(() if place is None else place.warnings)),
            ignored=weights.ignored,
        )
        self._weights, self._place, self._origin = weights, place, dict(origin)

    def side_files(self) -> tuple[str, ...]:
        return () if self._place is None else side_names(self._place.sizes())

    def side_file(self, name: str) -> bytes:
        if self._place is None or name not in self.side_files():
            raise KeyError(name)
        return self._place.read(name)

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        """label, path, repo or address, revision, and the files of weights with size and hashes.

        sha256 is there where it is known for free or the file has less than 256 MiB; hash_large: whether larger ones are read for it.
        """
        files = []
        for file in self._weights.files:
            source = file.source
            row = {"name": source.name, "size": source.size, "header_sha256": file.header_sha256}
            digest = self._place.sha256(source.name) if self._place is not None else None
            if digest is None and (hash_large or (isinstance(source, LocalSource) and source.size < HASHED_FREELY)):
                digest = source_sha256(source)
            files.append({**row, "sha256": digest} if digest is not None else row)
        return {"label": self.label, **self._origin, "files": files}

    def fingerprint(self) -> str:
        """As for any checkpoint, from names, shapes and types, and sizes and times of the files."""
        stamps = [(file.source.name, file.header_sha256, self._stamp(file.source)) for file in self._weights.files]
        return fingerprint_of(self.values(), [self._origin.get("revision"), stamps])

    def _stamp(self, source: ByteSource) -> str:
        if self._place is not None:
            return self._place.stamp(source.name)
        return source.stamp

    def check_unchanged(self) -> None:
        for file in self._weights.files:
            file.source.check_unchanged()

    def close(self) -> None:
        for file in self._weights.files:
            file.source.close()


def open_place(place: Place, label: str) -> FileCheckpoint:
    """The checkpoint of a folder."""
    return FileCheckpoint(label, read_folder(place), place, place.origin())


def open_file(source: ByteSource, label: str, origin: Mapping[str, Any]) -> FileCheckpoint:
    """The checkpoint of a single file of weights; what else stands in its folder is not looked at."""
    found = read_weights(source)
    if not found.tensors and found.ignored:
        raise CheckpointError(f"{source.where}: holds no tensors; expected a state dict")
    return FileCheckpoint(label, Weights(found.tensors, (found,), found.metadata, found.ignored), None, origin)
