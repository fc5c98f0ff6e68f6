"""One run at a time in one place; the lock falls when its holder ends, however it ends."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OutputError


class FolderLock:
    """An exclusive lock on a file, held while the object is in use as a context."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path, self._target = path, target
        self._descriptor = -1

    def take(self) -> None:
        """Raises OutputError when another process holds it."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            self._descriptor = -1
            raise OutputError(
                f"'{self._target}' is being written by another run (process {holder}); wait for it or choose another folder"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def drop(self) -> None:
        """Let go and remove the file."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
