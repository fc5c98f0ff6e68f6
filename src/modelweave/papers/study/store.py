"""Results as lines of JSON, each written when it is there, so that a study that was interrupted goes on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import OutputError

Row = dict[str, Any]


def default_cache() -> Path:
    """The folder for what can be made again, by the platform's convention."""
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "modelweave" / "study"


class Store:
    """A file of rows, each with a `key`; of several with one key the last counts, and a line cut short by a kill counts as none."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._rows: dict[str, Row] = {}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            if text and not text.endswith("\n"):
                with file.open("a", encoding="utf-8") as lines:
                    lines.write("\n")
        except OSError as error:
            raise OutputError(f"{file}: the study's results cannot be kept there: {error.strerror}") from None
        for line in text.splitlines():
            try:
                row = json.loads(line)
                self._rows[row["key"]] = row
            except (ValueError, KeyError, TypeError):
                continue

    def row(self, key: str, make: Callable[[], Row]) -> Row:
        """The row of that key; made and written if it is not there."""
        if key not in self._rows:
            row = {"key": key, **make()}
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            self._rows[key] = row
        return self._rows[key]
