"""Which tensors a run has finished, so that the next one need not do them again."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path


class Journal:
    """An append-only file: a first line that says what is being written, then one line a finished tensor.

    A line that a kill cut short counts as not written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = -1

    def read(self) -> tuple[str | None, set[str]]:
        """The identity in the first line, or None, and the finished names."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except OSError:
            return None, set()
        values = []
        for line in lines:
            try:
                values.append(json.loads(line))
            except ValueError:
                break
        if not values or not isinstance(values[0], dict):
            return None, set()
        return values[0].get("identity"), {v for v in values[1:] if isinstance(v, str)}

    def start(self, identity: str) -> None:
        """A new journal in place of any other."""
        self._path.write_bytes(json.dumps({"identity": identity}).encode() + b"\n")
        self.append()

    def append(self) -> None:
        """Go on with the journal that is there, past a line that was cut short."""
        text = self._path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) != len(text):
            self._path.write_bytes(whole)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def finished(self, name: str) -> None:
        """Record one tensor, in one write."""
        with self._lock:
            os.write(self._descriptor, json.dumps(name).encode() + b"\n")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
