"""Files behind any fsspec address, read in ranges that are kept for a while, because tensors are read in small pieces."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from ..errors import CheckpointError
from .manifest import without_secrets
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
_BUSY = (408, 425, 429)
_ABSENT = (None, 404, 410)
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
    """One file behind an address. Reads of a block or more go straight to it; failures of the line are tried again.

    stamp: gives a text that changes when the file does.
    """

    def __init__(
        self,
        fs: Ranges,
        path: str,
        size: int,
        cache: BlockCache | None = None,
        where: str | None = None,
        stamp: Callable[[], str] = str,
    ) -> None:
        self.fs, self.path, self.size = fs, path, size
        self.name = plain_name(path)
        self._stamp_now, self.stamp = stamp, stamp()
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

    def check_unchanged(self) -> None:
        if self._stamp_now() != self.stamp:
            raise CheckpointError(f"{self.where}: was changed while it was read; run again once it is finished")

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
            if not found and self._is_web:
                # a web server without listings still answers for names
                self.lists_all = False
                for name in _GUESSED:
                    with contextlib.suppress(Refused):
                        info = self._info(name)
                        found |= {name: info} if info is not None else {}
            self._infos = found
        return self._infos

    @property
    def _is_web(self) -> bool:
        protocols = self.fs.protocol if isinstance(self.fs.protocol, (list, tuple)) else (self.fs.protocol,)
        return bool({"http", "https"} & set(protocols))

    def _list(self, path: str, prefix: str) -> dict[str, Mapping[str, Any]]:
        try:
            rows = patiently(lambda: self.fs.ls(path, detail=True), self.where)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except Refused:
            if self._is_web:  # many servers show files, but no listings
                return {}
            raise
        files = [row for row in rows if row.get("type") == "file" and isinstance(row.get("size"), int)]
        return {prefix + str(row["name"]).rstrip("/").rpartition("/")[2]: row for row in files}

    def _info(self, name: str) -> Mapping[str, Any] | None:
        try:
            info: Mapping[str, Any] = patiently(lambda: self.fs.info(f"{self.root}/{name}"), self.where)
        except FileNotFoundError:
            return None
        return info if info.get("type", "file") == "file" and isinstance(info.get("size"), int) else None

    def open(self, name: str) -> RemoteSource:
        infos = self._infos or {}
        path, where = f"{self.root}/{name}", f"{self.where}: '{plain_name(name)}'"
        info = infos.get(name) or self._info(name)
        if info is None:
            raise CheckpointError(f"{where} is missing or its size is not told; check the address or download it first")
        return RemoteSource(self.fs, path, int(info["size"]), self._cache, where, lambda: self._stamp_now(name))

    def origin(self) -> dict[str, Any]:
        return {"address": public(self._address)}

    def stamp(self, name: str) -> str:
        return _marks((self._infos or {}).get(name) or self._info(name))

    def _stamp_now(self, name: str) -> str:
        self.fs.invalidate_cache(self.root)
        return _marks(self._info(name))


def _marks(info: Mapping[str, Any] | None) -> str:
    """What a server says of a file's version."""
    marks = [(info or {}).get(key) for key in ("size", "ETag", "etag", "mtime", "LastModified", "created")]
    return " ".join(str(mark) for mark in marks if mark is not None)


def plain_name(path: str) -> str:
    """A file's name in an address, without a query.

    >>> plain_name("https://host/a/model.safetensors?download=1")
    'model.safetensors'
    """
    return path.partition("?")[0].rpartition("/")[2]


def remote_place(address: str, where: str) -> tuple[RemotePlace, str | None]:
    """The folder of an address, and the file's name when the address is one of a file."""
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address)
    except ImportError as error:
        raise CheckpointError(f"{where}: this kind of address needs a package that is not installed ({error}); install it") from error
    except Exception as error:
        raise CheckpointError(f"{where}: is no address that fsspec understands ({line_of(error)}); check it") from error
    bare, mark, query = path.partition("?")
    root, _, name = bare.rstrip("/").rpartition("/")
    if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt")):
        return RemotePlace(fs, root, where, address), name + mark + query
    return RemotePlace(fs, path, where, address), None


Answer = TypeVar("Answer")


class Refused(CheckpointError):
    """A server's answer that will be the same the next time."""


def patiently(once: Callable[[], Answer], where: str) -> Answer:
    """The result of a request, tried again with growing pauses while the line or the server fails.

    Raises FileNotFoundError and its kin as they are, Refused for what a server refuses, CheckpointError for a line that fails for long.
    """
    for attempt in range(ATTEMPTS):
        try:
            return once()
        except CheckpointError:
            raise
        except Exception as error:
            # each file system has exceptions of its own for a line that fails
            status = status_of(error)
            for_good = isinstance(error, _FIXED) if status is None else 400 <= status < 500 and status not in _BUSY
            if for_good and status in _ABSENT and isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise
            if for_good:
                raise Refused(f"{where}: cannot be read ({line_of(error)}); check your access") from error
            if attempt == ATTEMPTS - 1:
                raise CheckpointError(f"{where}: cannot be read after {ATTEMPTS} attempts ({line_of(error)}); try again later") from error
            time.sleep(FIRST_WAIT * 2**attempt)
    raise AssertionError


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, None where no server answered."""
    while error is not None:
        for found in (getattr(error, "status", None), getattr(getattr(error, "response", None), "status_code", None)):
            if type(found) is int:
                return found
        error = error.__cause__
    return None


def public(address: str) -> str:
    """An address without the user's name, password and query, which may hold secrets.

    >>> public("https://me:key@host/a?token=1")
    'https://host/a'
    """
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def line_of(error: BaseException) -> str:
    """The first line of an error's text, or the HTTP status behind it."""
    status = status_of(error)
    if status is not None:
        return f"the server answers {status}"
    return without_secrets((str(error) or type(error).__name__).splitlines()[0])[:160]
