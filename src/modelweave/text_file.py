"""A text file that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from .errors import OutputError


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
