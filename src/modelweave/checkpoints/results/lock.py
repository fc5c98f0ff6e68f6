"""One run at a time in one place; the lock falls when its holder ends, however it ends."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from ...errors import OutputError

_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_PID_AT = 1  # Windows lets nobody read the byte that is locked, which is the first


class FolderLock:
    """An exclusive lock on a file, held from `take` to `drop` or to the end of the process."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path, self._target = path, target
        self._descriptor = -1

    def take(self) -> None:
        """Raises OutputError when another run holds it, or where the disk knows no locks."""
        while self._descriptor < 0:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            try:
                _lock(descriptor)
            except OSError as error:
                holder = _holder(descriptor)
                os.close(descriptor)
                if error.errno in _HELD:
                    raise OutputError(
                        f"'{self._target}' is being written by another run (process {holder}); wait for it or choose another folder"
                    ) from error
                raise OutputError(
                    f"'{self._target}' cannot be locked ({error.strerror}); choose a folder on a disk that supports locks"
                ) from error
            if _is_at(descriptor, self._path):
                self._descriptor = descriptor
            else:
                os.close(descriptor)  # its holder removed the file between our opening and locking it
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, b" " * _PID_AT + str(os.getpid()).encode())

    def drop(self) -> None:
        """Let go and remove the file."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            # before it is let go, so that nobody's file but ours is removed; Windows removes no open file, and there it stays
            self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, _PID_AT, os.SEEK_SET)
    return os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
