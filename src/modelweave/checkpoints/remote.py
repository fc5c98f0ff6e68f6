"""Files behind any fsspec address, read in ranges that are kept for a while, because tensors are read in small pieces."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from ..errors import CheckpointError
from .place import SUBFOLDERS, Place
from .shards import PREFERRED
from .source import ByteSource
from .tensors import Bytes

BLOCK = 4 << 20
"""Bytes of one request; smaller reads are served from it."""
KEPT_BLOCKS = 16
"""Blocks that a place keeps in memory."""
HEAD = 128 << 10
"""Bytes of a file's first request when it is asked for less: most headers are whole in them, and a second request costs more."""
ATTEMPTS = 4
FIRST_WAIT = 0.25
_FIXED = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError)
_GUESSED = (
    *PREFERRED,
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "chat_template.jinja", "preprocessor_config.json"),
    *("processor_config.json", "README.md", "LICENSE", "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"),
)


class BlockCache:
    """The blocks that were fetched last; threads that want the same one wait for one request."""

    def __init__(self, blocks: int = KEPT_BLOCKS) -> None:
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._locks: dict[tuple[str, int], threading.Lock] = {}
        self._lock, self._most = threading.Lock(), blocks

    def get(self, key: tuple[str, int], fetch: Any) -> bytes:
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
            waiting = self._locks.setdefault(key, threading.Lock())
        with waiting:
            with self._lock:
                if key in self._blocks:
                    return self._blocks[key]
            block: bytes = fetch()
            with self._lock:
                self._blocks[key] = block
                self._locks.pop(key, None)
                while len(self._blocks) > self._most:
                    self._blocks.popitem(last=False)
            return block


class Ranges(Protocol):
    """What can send a part of a file, such as an fsspec file system."""

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        """The bytes [start, end) of the file."""


class RemoteSource(ByteSource):
    """One file behind an address. Reads of a block or more go straight to it; failures of the line are tried again."""

    def __init__(self, fs: Ranges, path: str, size: int, cache: BlockCache | None = None, where: str | None = None) -> None:
        self.fs, self.path, self.size = fs, path, size
        self.name = path.rpartition("/")[2]
        self.where = where or f"'{self.name}'"
        self._cache = cache or BlockCache()
        self._head = b""

    def read_into(self, offset: int, out: Bytes) -> None:
        stop = self._within(offset + out.nbytes)
        if out.nbytes >= BLOCK:
            out[:] = memoryview(self._fetch(offset, stop))
            return
        view, done = out.data, 0
        while done < len(view):
            number, skipped = divmod(offset + done, BLOCK)
            block = self._cache.get((self.path, number), lambda first=number * BLOCK: self._fetch(first, min(first + BLOCK, self.size)))
            part = block[skipped : skipped + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)

    def read(self, offset: int, length: int) -> bytes:
        stop = self._within(offset + length)
        if stop > HEAD:
            return self._fetch(offset, stop)
        if stop > len(self._head):
            self._head = self._fetch(0, min(HEAD, self.size))
        return self._head[offset:stop]

    def _within(self, stop: int) -> int:
        if stop > self.size:
            raise CheckpointError(f"{self.where}: ends after {self.size} bytes, expected at least {stop}; it is truncated, upload it again")
        return stop

    def _fetch(self, start: int, stop: int) -> bytes:
        def once() -> Any:
            data = self.fs.cat_file(self.path, start=start, end=stop)
            if len(data) > stop - start:
                raise CheckpointError(f"{self.where}: its server does not send parts of files; download it first")
            if len(data) < stop - start:
                raise OSError(f"{len(data)} of {stop - start} bytes came")
            return data

        data: bytes = patiently(once, self.where)
        return data


class RemotePlace(Place):
    """A folder behind an fsspec address, or one file in it when the rest cannot be listed."""

    def __init__(self, fs: Any, root: str, where: str, address: str) -> None:
        self.fs, self.root, self.where, self._address = fs, root.rstrip("/"), where, address
        self._cache = BlockCache()
        self._infos: dict[str, Mapping[str, Any]] | None = None

    def sizes(self) -> Mapping[str, int]:
        return {name: int(info["size"]) for name, info in self._listed().items()}

    def _listed(self) -> Mapping[str, Mapping[str, Any]]:
        if self._infos is None:
            found = self._list(self.root, "")
            for subfolder in SUBFOLDERS if found else ():
                found.update(self._list(f"{self.root}/{subfolder}", f"{subfolder}/"))
            protocols = self.fs.protocol if isinstance(self.fs.protocol, (list, tuple)) else (self.fs.protocol,)
            if not found and {"http", "https"} & set(protocols):
                # a web server without listings still answers for names
                for name in _GUESSED:
                    info = self._info(f"{self.root}/{name}")
                    if info is not None:
                        found[name] = info
            self._infos = found
        return self._infos

    def _list(self, path: str, prefix: str) -> dict[str, Mapping[str, Any]]:
        try:
            rows = patiently(lambda: self.fs.ls(path, detail=True), self.where)
        except (FileNotFoundError, NotADirectoryError, CheckpointError):
            return {}
        files = [row for row in rows if row.get("type") == "file" and isinstance(row.get("size"), int)]
        return {prefix + str(row["name"]).rstrip("/").rpartition("/")[2]: row for row in files}

    def _info(self, path: str) -> Mapping[str, Any] | None:
        try:
            info: Mapping[str, Any] = patiently(lambda: self.fs.info(path), self.where)
        except (FileNotFoundError, CheckpointError):
            return None
        return info if info.get("type", "file") == "file" and isinstance(info.get("size"), int) else None

    def open(self, name: str) -> RemoteSource:
        infos = self._infos or {}
        info = infos.get(name) or self._info(f"{self.root}/{name}")
        if info is None:
            raise CheckpointError(f"{self.where}: lacks '{name}' or does not tell its size; check the address or download it first")
        return RemoteSource(self.fs, f"{self.root}/{name}", int(info["size"]), self._cache, f"{self.where}: '{name}'")

    def origin(self) -> dict[str, Any]:
        return {"address": public(self._address)}

    def stamp(self, name: str) -> str:
        info = (self._infos or {}).get(name) or self._info(f"{self.root}/{name}") or {}
        marks = [info.get(key) for key in ("size", "ETag", "etag", "mtime", "LastModified", "created")]
        return " ".join(str(mark) for mark in marks if mark is not None)


def remote_place(address: str, where: str) -> tuple[RemotePlace, str | None]:
    """The folder of an address, and the file's name when the address is one of a file."""
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address)
    except ImportError as error:
        raise CheckpointError(f"{where}: this kind of address needs a package that is not installed ({error}); install it") from error
    except Exception as error:
        raise CheckpointError(f"{where}: is no address that fsspec understands ({line_of(error)}); check it") from error
    root, _, name = path.rstrip("/").rpartition("/")
    if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt")):
        return RemotePlace(fs, root, where, address), name
    return RemotePlace(fs, path, where, address), None


def patiently(once: Any, where: str) -> Any:
    """The result of a request, tried again with growing pauses while the line fails."""
    for attempt in range(ATTEMPTS):
        try:
            return once()
        except (CheckpointError, *_FIXED) as error:
            if isinstance(error, (PermissionError, ImportError)):
                raise CheckpointError(f"{where}: cannot be read ({line_of(error)}); check your access") from error
            raise
        except Exception as error:
            # each file system has exceptions of its own for a line that fails
            if attempt == ATTEMPTS - 1:
                raise CheckpointError(f"{where}: cannot be read after {ATTEMPTS} attempts ({line_of(error)}); try again later") from error
            time.sleep(FIRST_WAIT * 2**attempt)
    raise AssertionError


def public(address: str) -> str:
    """An address without the user's name, password and query, which may hold secrets.

    >>> public("https://me:key@host/a?token=1")
    'https://host/a'
    """
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def line_of(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error) or type(error).__name__).splitlines()[0][:160]
