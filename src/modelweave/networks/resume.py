"""The state of a training run in a folder: written whole or not at all, read without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, CompatibilityError, OutputError
from ..files import whole

FILE = "training.pt"
_FORMAT = 1


def write_state(folder: str | Path, state: dict[str, Any]) -> None:
    """Put the state (tensors and plain values) in the place of an earlier one. Raises OutputError where that cannot be done."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with whole(Path(folder) / FILE, sync=True) as place:
            torch.save({"format": _FORMAT, **state}, place)
    except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
        raise OutputError(f"{folder}: the state of the run cannot be written: {error}") from None


def read_state(folder: str | Path) -> dict[str, Any] | None:
    """The state in a folder, None where there is none. Raises CheckpointError for a file that is damaged or holds anything but values."""
    file = Path(folder) / FILE
    if not file.exists():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # torch's reader fails in many ways on bytes that it did not write
        raise CheckpointError(f"{file}: is damaged or was not written by fit; delete it, or give another folder") from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(f"{file}: is no state of a run that this version reads; delete it, or give another folder")
    return state


def check_same_run(folder: str | Path, noted: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise CompatibilityError where the run in the folder is not the one that is asked for."""
    for word, value in now.items():
        if noted.get(word) != value:
            raise CompatibilityError(
                f"{folder}: holds a run with {word} {_short(noted.get(word))}, expected {_short(value)}; "
                "give the arguments of that run, or another folder"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
