"""Where bytes come from: a file on disk, or anything else that can be read at an offset."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import threading
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ..dtypes import Bytes
from ..tensors import InFile

HELD_FILES = 256
"""So many files stay open; further ones are opened for each read, so that hundreds of shards need few descriptors."""

# reentrant, because a garbage collection inside the lock may close files
_held_lock = threading.RLock()
_held = 0
_hashes: dict[tuple[int, ...], str] = {}


class ByteSource(ABC):
    """Bytes that are read at an offset, from several threads at once.

    name: of the file. where: what messages begin with. size: in bytes. `read_into` raises CheckpointError where the bytes end early.
    """

    name: str
    where: str
    size: int
    identity: tuple[int, ...] | None = None
    """What stays the same as long as the bytes do, where that can be told."""
    stamp: str = ""
    """The same for bytes that are told apart over several runs."""

    @abstractmethod
    def read_into(self, offset: int, out: Bytes) -> None:
        """Fill `out` (uint8, contiguous) with the bytes from `offset` on."""

    def in_file(self) -> InFile | None:
        """Where the bytes begin in a file that is open and stays so as long as this does, or None."""
        return None

    def read(self, offset: int, length: int) -> bytes:
        """A few bytes, such as a header; large ones are read into their destination instead."""
        out = np.empty(length, np.uint8)
        self.read_into(offset, out)
        return out.tobytes()

    def check_unchanged(self) -> None:  # noqa: B027, most sources cannot tell
        """Raise CheckpointError when the bytes were changed since the source was opened."""

    def close(self) -> None:  # noqa: B027, most sources hold nothing
        """Give back what is held; reading again opens it again."""


class LocalSource(ByteSource):
    """A plain file. It is opened once and shared; it may be replaced under its name without harm while it is held."""

    def __init__(self, path: str | os.PathLike[str], name: str | None = None, where: str | None = None) -> None:
        self.path = Path(os.path.abspath(path))
        self.name = name or self.path.name
        self.where = where or f"'{self.name}'"
        with self._told():
            found = os.stat(self.path)
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(f"{self.where}: expected a plain file, got a folder, pipe or device; give the path of a file")
        self.size, self.stamp = found.st_size, f"{found.st_size} {found.st_mtime_ns}"
        self.identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._closer: Any = None

    def read_into(self, offset: int, out: Bytes) -> None:
        if not out.nbytes:
            return
        fd = self._hold()
        if fd is not None:
            self._fill(fd, offset, out)
            return
        fd = self._open()
        try:
            self._fill(fd, offset, out)
        finally:
            os.close(fd)

    def in_file(self) -> InFile | None:
        descriptor = self._hold()
        return None if descriptor is None else InFile(descriptor, 0)

    def check_unchanged(self) -> None:
        with self._lock:
            if self._fd is None:
                return
            found = os.fstat(self._fd)
        if (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) != self.identity:
            raise CheckpointError(f"{self.where}: was changed while it was read; run again once it is finished")

    def close(self) -> None:
        with self._lock:
            if self._closer is not None:
                self._closer()
            self._fd = self._closer = None

    def _hold(self) -> int | None:
        """The shared descriptor, or None where enough files are open already."""
        global _held
        with self._lock:
            if self._fd is None:
                with _held_lock:
                    if _held >= HELD_FILES:
                        return None
                    _held += 1
                try:
                    self._fd = self._open()
                except BaseException:
                    _release(None)
                    raise
                self._closer = weakref.finalize(self, _release, self._fd)
            return self._fd

    def _open(self) -> int:
        with self._told():
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) != self.identity:
            os.close(fd)
            raise CheckpointError(f"{self.where}: the file changed after it was opened; open the checkpoint again")
        return fd

    def _fill(self, fd: int, offset: int, out: Bytes) -> None:
        with self._told():
            done = read_at(fd, out.data, offset)
        if done < out.nbytes:
            raise ended(self.where, offset + out.nbytes, offset + done)

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.where}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


class Section(ByteSource):
    """A stretch of another source, as in one storage of a larger file."""

    def __init__(self, source: ByteSource, start: int, size: int) -> None:
        self.source, self.start, self.size = source, start, size
        self.name, self.where = source.name, source.where

    def read_into(self, offset: int, out: Bytes) -> None:
        if offset + out.nbytes > self.size:
            raise ended(self.where, offset + out.nbytes, self.size)
        self.source.read_into(self.start + offset, out)

    def in_file(self) -> InFile | None:
        found = self.source.in_file()
        return found and InFile(found.descriptor, found.offset + self.start)


class SourceFile(io.RawIOBase):
    """A source as a file object, for readers that want one."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {0: 0, 1: self._at, 2: self._source.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._source.size - self._at))
        if count:
            self._source.read_into(self._at, np.frombuffer(buffer, np.uint8, count))
        self._at += count
        return count


def read_at(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill a view from a position of a file, from several threads at once; returns how many bytes there were."""
    done = 0
    while done < len(view):
        count = _pread_into(descriptor, view[done:], offset + done)
        if not count:
            break
        done += count
    return done


def ended(where: str, expected: int, got: int) -> CheckpointError:
    """The error for bytes that are missing at the end."""
    return CheckpointError(f"{where}: ends after {got} bytes, expected at least {expected}; it is truncated, copy or download it again")


def source_sha256(source: ByteSource) -> str:
    """The sha256 in hexadecimal of everything in a source; files that did not change are hashed once."""
    if source.identity is not None and source.identity in _hashes:
        return _hashes[source.identity]
    digest, buffer = hashlib.sha256(), np.empty(1 << 20, np.uint8)
    for at in range(0, source.size, len(buffer)):
        part = buffer[: min(len(buffer), source.size - at)]
        source.read_into(at, part)
        digest.update(part.data)
    found = digest.hexdigest()
    if source.identity is not None:
        _hashes[source.identity] = found
    return found


def _release(fd: int | None) -> None:
    global _held
    with _held_lock:
        _held -= 1
    if fd is not None:
        with contextlib.suppress(OSError):
            os.close(fd)


if hasattr(os, "preadv"):

    def _pread_into(fd: int, view: memoryview, offset: int) -> int:
        return os.preadv(fd, [view], offset)

elif hasattr(os, "pread"):

    def _pread_into(fd: int, view: memoryview, offset: int) -> int:
        data = os.pread(fd, min(len(view), 1 << 24), offset)
        view[: len(data)] = data
        return len(data)

else:
    _seek_lock = threading.Lock()

    def _pread_into(fd: int, view: memoryview, offset: int) -> int:
        # a position is shared by all users of a descriptor, so seek and read must not be parted
        with _seek_lock:
            os.lseek(fd, offset, os.SEEK_SET)
            data = os.read(fd, min(len(view), 1 << 24))
        view[: len(data)] = data
        return len(data)
