"""Which tensors a run has finished, so that the next one need not do them again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import Records


class Journal:
    """Records: a first one that says what is being written, then one for each finished tensor.

    parked: where the file waits while the folder around it is renamed, so that it is neither lost by a kill at that moment nor part
    of the result.
    """

    def __init__(self, path: Path, parked: Path, *, sync: bool = False) -> None:
        self._path, self._parked = path, parked
        self._records = Records(path, sync=sync)
        self._found: list[Any] = []

    def read(self) -> tuple[str | None, dict[str, tuple[str, ...]]]:
        """The identity in the first line, or None without a journal, and the finished names with their notes.

        Raises OSError when it cannot be read.
        """
        self.unpark()
        values = self._found = self._records.read()
        identity = values[0].get("identity") if values and isinstance(values[0], dict) else None
        if not isinstance(identity, str):
            return None, {}
        return identity, {v[0]: tuple(v[1:]) for v in values[1:] if isinstance(v, list) and v and all(isinstance(w, str) for w in v)}

    def start(self, identity: str, finished: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """A new journal in place of any other."""
        self._records.rewrite([{"identity": identity}, *([name, *notes] for name, notes in (finished or {}).items())])

    def append(self) -> None:
        """Go on with the journal that was read; what stood behind damage is gone."""
        self._records.rewrite(self._found)

    def finished(self, name: str, notes: tuple[str, ...] = ()) -> None:
        """Record one tensor; a line that does not fit on the disk is taken back."""
        self._records.append([name, *notes])

    def park(self) -> None:
        """Move out of the folder that is about to be renamed."""
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
