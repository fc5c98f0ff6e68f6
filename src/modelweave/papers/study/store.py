"""Results as lines of JSON, each written when it is there, so that a study that was interrupted goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import OutputError
from ...files import Records

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
        self._records = Records(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            found = self._records.read(past_damage=True)
        except OSError as error:
            raise OutputError(f"{file}: the study's results cannot be kept there: {error.strerror}") from None
        self._rows: dict[str, Row] = {row["key"]: row for row in found if isinstance(row, dict) and "key" in row}

    def row(self, key: str, make: Callable[[], Row]) -> Row:
        """The row of that key; made and written if it is not there."""
        if key not in self._rows:
            row = {"key": key, **make()}
            self._records.append(row)
            self._rows[key] = row
        return self._rows[key]
