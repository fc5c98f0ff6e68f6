"""Files behind any fsspec address, read in ranges that are kept for a while, because tensors are read in small pieces."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from ...errors import CheckpointError, without_secrets
from ..dtypes import Bytes
from .place import SUBFOLDERS, TOKENIZER_FILES, WEIGHTS_FILES, Place
from .source import ByteSource

BLOCK = 4 << 20
"""Bytes of one request; smaller reads are served from it."""
KEPT_BLOCKS = 16
"""Blocks that a place keeps in memory."""
HEAD = 128 << 10
"""Bytes of a file's first request when it is asked for less: most headers are whole in them, and a second request costs more."""
ATTEMPTS = 4
FIRST_WAIT = 0.25
SILENCE = 30.0
"""So many seconds a web server may say nothing before its line counts as failed."""
MOST_LISTED = 500
_BUSY = (408, 425, 429)
_ABSENT = (None, 404, 410)
_FIXED = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError)
_GUESSED = (
    *WEIGHTS_FILES,
    *TOKENIZER_FILES,
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json", "README.md", "LICENSE"),
    *("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"),
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

    stamp: a text that changes when the file does. now: gives what it is now.
    """

    def __init__(
        self,
        fs: Ranges,
        path: str,
        size: int,
        cache: BlockCache | None = None,
        where: str | None = None,
        stamp: str = "",
        now: Callable[[], str] = str,
    ) -> None:
        self.fs, self.path, self.size = fs, path, size
        self.name = path.partition("?")[0].rpartition("/")[2]
        self.stamp, self._now = stamp, now
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
        if self._now() != self.stamp:
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

        try:
            data: bytes = patiently(once, self.where)
        except _FIXED as error:
            raise CheckpointError(f"{self.where}: was there, and is not any more ({line_of(error)}); check the address") from error
        return data


class RemotePlace(Place):
    """A folder behind an fsspec address, or one file in it when the rest cannot be listed. query: what each request ends with."""

    def __init__(self, fs: Any, root: str, where: str, address: str, query: str = "") -> None:
        self.fs, self.root, self.where, self._address, self._query = fs, root.rstrip("/"), where, address, query
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
                found = self._asked(_GUESSED)
            self._infos = found
        return self._infos

    def _asked(self, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Those of the names that a server has. Raises Refused where it refuses so many that nothing is left."""
        found: dict[str, Mapping[str, Any]] = {}
        refusal: Refused | None = None
        for name in names:
            try:
                info = self._info(name)
            except Refused as error:
                refusal = error
                continue
            if info is not None:
                found[name] = info
        if refusal is not None and not found:
            raise refusal
        return found

    @property
    def _is_web(self) -> bool:
        protocols = self.fs.protocol if isinstance(self.fs.protocol, (list, tuple)) else (self.fs.protocol,)
        return bool({"http", "https"} & set(protocols))

    def _list(self, path: str, prefix: str) -> dict[str, Mapping[str, Any]]:
        try:
            rows = patiently(lambda: self.fs.ls(path + self._query, detail=True), self.where)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except Refused:
            if self._is_web:  # many servers show files, but no listings
                return {}
            raise
        files = {prefix + _name_in(str(row["name"])): row for row in rows if row.get("type") == "file"}
        unsized = [name for name, row in files.items() if not isinstance(row.get("size"), int)]
        # a page with links names files without their sizes
        return {name: row for name, row in files.items() if name not in unsized} | self._asked(unsized[:MOST_LISTED])

    def _info(self, name: str) -> Mapping[str, Any] | None:
        try:
            info: Mapping[str, Any] = patiently(lambda: self.fs.info(self._path(name)), self.where)
        except FileNotFoundError:
            return None
        if info.get("type", "file") != "file":
            return None
        if not isinstance(info.get("size"), int):
            self.warnings = (*self.warnings, f"{self.where}: the server does not tell the size of '{name}', which is left out")
            return None
        return info

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}{self._query}"

    def open(self, name: str) -> RemoteSource:
        where, info = f"{self.where}: '{name}'", self._fresh(name)
        if info is None:
            raise CheckpointError(f"{where} is missing or its size is not told; check the address or download it first")
        size, marks = int(info["size"]), _marks(info)
        return RemoteSource(self.fs, self._path(name), size, self._cache, where, marks, lambda: _marks(self._fresh(name)))

    def origin(self) -> dict[str, Any]:
        return {"address": public(self._address)}

    def stamp(self, name: str) -> str:
        return _marks((self._infos or {}).get(name) or self._info(name))

    def _fresh(self, name: str) -> Mapping[str, Any] | None:
        """What the server says of a file now; a listing may be older and tell it in other words."""
        self.fs.invalidate_cache(self.root)
        return self._info(name)


def _marks(info: Mapping[str, Any] | None) -> str:
    """What a server says of a file's version."""
    marks = [(info or {}).get(key) for key in ("size", "ETag", "etag", "mtime", "LastModified", "Last-Modified", "created")]
    return " ".join(str(mark) for mark in marks if mark is not None)


def _name_in(path: str) -> str:
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]


def remote_place(address: str, where: str) -> tuple[RemotePlace, str | None]:
    """The folder of an address, and the file's name when the address is one of a file."""
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address, **_patience(address))
    except ImportError as error:
        raise CheckpointError(f"{where}: this kind of address needs a package that is not installed ({error}); install it") from error
    except Exception as error:
        raise CheckpointError(f"{where}: is no address that fsspec understands ({line_of(error)}); check it") from error
    is_web = address.startswith(("http://", "https://"))
    bare, mark, query = path.partition("?") if is_web else (path, "", "")
    root, _, name = bare.rstrip("/").rpartition("/")
    if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt")):
        return RemotePlace(fs, root, where, address, mark + query), name
    return RemotePlace(fs, bare, where, address, mark + query), None


def _patience(address: str) -> dict[str, Any]:
    """Options for a web server: how long it may stay silent."""
    if not address.startswith(("http://", "https://")):
        return {}
    from aiohttp import ClientTimeout

    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)}}


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
            for_good = (isinstance(error, _FIXED) and not _lost(error)) if status is None else 400 <= status < 500 and status not in _BUSY
            if for_good and status in _ABSENT and isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise
            if for_good:
                raise Refused(f"{where}: cannot be read ({line_of(error)}); check your access") from error
            if attempt == ATTEMPTS - 1:
                raise CheckpointError(f"{where}: cannot be read after {ATTEMPTS} attempts ({line_of(error)}); try again later") from error
            time.sleep(FIRST_WAIT * 2**attempt)
    raise AssertionError


def _lost(error: Exception) -> bool:
    """Whether it is the line that failed: fsspec tells of missing files then, too."""
    cause = error.__cause__
    return isinstance(error, FileNotFoundError) and cause is not None and not isinstance(cause, _FIXED)


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
