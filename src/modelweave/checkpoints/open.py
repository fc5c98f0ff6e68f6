"""Whatever a user names as a model becomes a checkpoint: a path, an address, a hub id, an adapter over one of these, an object."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, printable
from ..text.references import base_and_adapter, hub_id, is_address
from .opened import FileCheckpoint, open_file, open_place
from .places.place import LocalPlace, Place
from .places.source import LocalSource
from .tensors import Checkpoint


def open_checkpoint(source: Any, *, label: str | None = None, near: str | os.PathLike[str] | None = None) -> Checkpoint:
    """The checkpoint behind a name or object, from its headers alone.

    Args:
        source: a folder, a file (.safetensors, .bin, .pt, .pth, .ckpt; only that file), an fsspec address of either, a hub id `org/name` or
            `org/name@revision`, each also as `base+adapter`; an nn.Module; a mapping from name to torch tensor or NumPy array; or a
            Checkpoint, which is returned as it is. A path that exists wins over any other reading.
        label: how messages name it.
        near: the folder where relative paths are looked up after the current one.

    Raises:
        CheckpointError: for what is missing or damaged.
        UnsafeFileError: for what would run code or leave its folder.

    >>> import numpy as np
    >>> open_checkpoint({"w": np.zeros((2, 3), np.float32)})["w"].shape
    (2, 3)
    """
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, (str, os.PathLike)):
        text = os.fspath(source)
        if not isinstance(text, str):
            raise CheckpointError("a model's path must be text, got bytes; decode it")
        return _open_named(text, label if label is not None else text, near)
    if isinstance(source, Mapping):
        from .memory import open_mapping

        return open_mapping(source, label or "state dict")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.nn.Module):
        from .memory import open_module

        return open_module(source, label or "module")
    raise CheckpointError(
        f"cannot open a model from {type(source).__name__}, expected a path, an address, a hub id, a module or a state dict"
    )


def _open_named(text: str, label: str, near: Any) -> Checkpoint:
    where = f"model '{_shown(label)}'"
    if _local(text, near) is None and "+" in text and not _is_remote(text, where, near):
        parts = base_and_adapter(text, lambda name: _local(name, near) is not None)
        if parts is not None:
            from .adapters.adapter import apply_adapter

            base = _open_named(parts[0], parts[0], near)
            return apply_adapter(base, _find(parts[1], f"adapter '{_shown(parts[1])}'", near).place, label, parts[1])
    found = _find(text, where, near)
    if found.file is None:
        return open_place(found.place, label)
    return _open_file(found, label)


@dataclass(frozen=True)
class _Found:
    """place: the folder. file: the name of one file in it when a file was named."""

    place: Place
    file: str | None = None


def _open_file(found: _Found, label: str) -> FileCheckpoint:
    assert found.file is not None
    folder = found.place.folder
    if folder is not None:
        return open_file(LocalSource(folder / found.file, found.file, found.place.where), label, {"path": found.file})
    return open_file(found.place.open(found.file), label, found.place.origin())


def _find(text: str, where: str, near: Any) -> _Found:
    """Where a model or adapter stands, by the kinds of name it may have."""
    path = _local(text, near)
    if path is not None:
        return _Found(LocalPlace(path, where)) if path.is_dir() else _Found(LocalPlace(path.parent, where), path.name)
    if is_address(text):
        from .places.remote import remote_place

        return _Found(*remote_place(text, where))
    tried = [repr(_shown(place)) for place in _places(text, near)]
    repository = hub_id(text)
    if repository is not None:
        from .places.hub import hub_place

        return _Found(hub_place(*repository, where, tried))
    raise CheckpointError(f"{where}: does not exist; looked for {' and '.join(tried) or 'a path'}{_near_names(text, near)}")


def _places(text: str, near: Any) -> list[str]:
    """The local paths that a text may mean."""
    if not text or "\0" in text:
        return []
    path = os.path.expanduser(text)
    if near is None or os.path.isabs(path):
        return [path]
    beside = os.path.join(os.fspath(near), path)
    return [path] if os.path.abspath(beside) == os.path.abspath(path) else [path, beside]


def _local(text: str, near: Any) -> Path | None:
    for place in _places(text, near):
        try:
            if os.path.exists(place):
                return Path(place)
        except (OSError, ValueError):
            continue
    return None


def _is_remote(text: str, where: str, near: Any) -> bool:
    """Whether a text with '+' is one address as a whole."""
    after = text.rpartition("+")[2]
    if not is_address(text) or is_address(after):
        return False
    if "?" in text and (hub_id(after) or _local(after, near) is not None):
        return False  # a server may answer whatever stands in a query
    from .places.remote import remote_place

    try:
        place, file = remote_place(text, where)
        return bool(place.sizes()) if file is None else place.open(file) is not None
    except CheckpointError:
        return False


def _near_names(text: str, near: Any) -> str:
    """The end of a message: what is there instead."""
    for place in _places(text, near):
        folder, name = os.path.split(place.rstrip(os.sep))
        try:
            names = os.listdir(folder or ".")
        except (OSError, ValueError):
            continue
        close = get_close_matches(name, names, n=3)
        if close:
            return "; near it there is " + ", ".join(repr(_shown(word)) for word in close)
    return "; give a folder, a file, an address or a hub id such as org/name"


def _shown(text: str) -> str:
    return printable(text.encode("utf-8", "backslashreplace").decode())[:200]
