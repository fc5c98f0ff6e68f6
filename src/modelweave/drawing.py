"""A figure without a window, and its file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .errors import OutputError
from .extras import extra
from .files import whole


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure, in inches."""
    return extra("matplotlib.figure", "plot").Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, file: str | Path, *, dpi: int = 150) -> None:
    """Write it, whole or not at all; the file's ending says as what. Raises OutputError where that cannot be done."""
    try:
        with whole(file) as place:
            figure.savefig(place, dpi=dpi)
    except (OSError, ValueError) as error:
        raise OutputError(f"{file}: the figure cannot be written ({error})") from error


def png(figure: Any, *, dpi: int = 110) -> bytes:
    """The figure as a PNG file in memory."""
    room = io.BytesIO()
    figure.savefig(room, format="png", dpi=dpi)
    return room.getvalue()
