"""A file of tensors under construction: made at its full size, filled in any order, checked when it is taken up again."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .layout import Shard

_BINARY: int = getattr(os, "O_BINARY", 0)
_seek_lock = threading.Lock()


def open_shard(path: Path, shard: Shard) -> int:
    """A descriptor of the file at its full size with its header; the data of a file that is already so stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
    try:
        if not _fits(descriptor, shard):
            os.ftruncate(descriptor, 0)
            _reserve(descriptor, shard.size)
            write_at(descriptor, memoryview(shard.header), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def kept(path: Path, shard: Shard, sizes: Mapping[str, int]) -> set[str]:
    """The tensors whose bytes can be on the disk: all in a file of the right form, less those with holes.

    A hole inside a finished tensor is what a power cut makes of data that had not reached the disk.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        return set()
    try:
        if not _fits(descriptor, shard):
            return set()
        return {name for name, at in shard.offsets.items() if not _has_hole(descriptor, at, at + sizes[name])}
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: memoryview, at: int) -> None:
    """Write all bytes at a position, from several threads at once."""
    rest = data.cast("B") if data.nbytes else memoryview(b"")
    while len(rest):
        count = _pwrite(descriptor, rest, at)
        rest, at = rest[count:], at + count


def sync_tree(folder: Path) -> None:
    """Force a folder and everything in it to the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync_entry(path)


def sync_entry(path: Path) -> None:
    """Force one file, or the list of names in one folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | _BINARY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Make a file of this size. Linux sets its room aside, which makes writing faster, and a full disk known at once.

    Not os.posix_fallocate: where a file system cannot, that writes zeros.
    """
    reserve = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None) if sys.platform == "linux" else None
    if reserve is not None and reserve(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)) == 0:
        return
    if reserve is not None and (error := ctypes.get_errno()) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise OSError(error, os.strerror(error))
    os.ftruncate(descriptor, size)


def _fits(descriptor: int, shard: Shard) -> bool:
    if os.fstat(descriptor).st_size != shard.size:
        return False
    with _seek_lock:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, len(shard.header)) == shard.header


def _has_hole(descriptor: int, start: int, stop: int) -> bool:
    if start == stop or not hasattr(os, "SEEK_HOLE"):
        return False
    try:
        return os.lseek(descriptor, start, os.SEEK_HOLE) < stop
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
            return False  # the file system does not tell
        raise


def _pwrite(descriptor: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, at)
    with _seek_lock:  # Windows
        os.lseek(descriptor, at, os.SEEK_SET)
        return os.write(descriptor, data)
