"""A text file that appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import OutputError


def check_writable(file: str | Path) -> None:
    """Raise OutputError where a file could not be written later, after long work."""
    place = Path(file)
    if place.is_dir():
        raise OutputError(f"{file}: is a folder, expected the name of a file")
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        raise OutputError(f"{file}: cannot be written: its folder does not exist or takes no files")


def write_text(file: str | Path, text: str) -> None:
    """Write beside the place, then rename. Raises OutputError where that cannot be done."""
    place = Path(file)
    part = place.with_name(f".{place.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(place)
    except OSError as error:
        try:
            part.unlink(missing_ok=True)
        except OSError:
            pass
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from None
