"""Which tensors a run has finished, so that the next one need not do them again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class Journal:
    """A file that grows: a first line that says what is being written, then one line a finished tensor.

    A line that a kill cut short counts as not written. parked: where the file waits while the folder around it is renamed, so that it
    is neither lost by a kill at that moment nor part of the result.
    """

    def __init__(self, path: Path, parked: Path, *, sync: bool = False) -> None:
        self._path, self._parked, self._sync = path, parked, sync
        self._lock = threading.Lock()
        self._descriptor = -1
        self._whole = 0

    def read(self) -> tuple[str | None, dict[str, tuple[str, ...]]]:
        """The identity in the first line, or None without a journal, and the finished names with their notes.

        Raises OSError when it cannot be read.
        """
        self.unpark()
        try:
            text = self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None, {}
        values, self._whole = [], 0
        for line in text.split(b"\n")[:-1]:
            try:
                values.append(json.loads(line))
            except ValueError:
                break
            self._whole += len(line) + 1
        identity = values[0].get("identity") if values and isinstance(values[0], dict) else None
        if not isinstance(identity, str):
            return None, {}
        return identity, {v[0]: tuple(v[1:]) for v in values[1:] if isinstance(v, list) and v and all(isinstance(w, str) for w in v)}

    def start(self, identity: str, finished: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """A new journal in place of any other; a kill leaves the old or the new one."""
        rows = [{"identity": identity}, *([name, *notes] for name, notes in (finished or {}).items())]
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode())
        os.replace(fresh, self._path)
        self._open()

    def append(self) -> None:
        """Go on with the journal that was read, from its last whole line."""
        os.truncate(self._path, self._whole)
        self._open()

    def finished(self, name: str, notes: tuple[str, ...] = ()) -> None:
        """Record one tensor; a line that does not fit on the disk is taken back."""
        line = json.dumps([name, *notes]).encode() + b"\n"
        with self._lock:
            before = os.fstat(self._descriptor).st_size
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
                if self._sync:
                    os.fsync(self._descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._descriptor, before)
                raise

    def park(self) -> None:
        """Move out of the folder that is about to be renamed."""
        self.close()
        os.replace(self._path, self._parked)

    def unpark(self) -> None:
        """Move back into the folder, or go for good when the folder is no longer there."""
        if not self._parked.exists():
            return
        if self._path.parent.is_dir() and not self._path.exists():
            os.replace(self._parked, self._path)
        else:
            self._parked.unlink()

    def remove(self) -> None:
        """What it listed counts no more."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
