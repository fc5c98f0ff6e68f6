"""The record of a merge: what went in, what was asked, what became of every tensor."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np

FORMAT = 1


def manifest(
    *,
    recipe: Mapping[str, Any],
    inputs: Sequence[Mapping[str, Any]],
    tensors: Sequence[Mapping[str, Any]],
    seed: int,
    seconds: float,
    **more: Any,
) -> dict[str, Any]:
    """The content of modelweave.json. inputs: each checkpoint's provenance. tensors: one report each. No secrets, no machine's paths."""
    from .. import __version__

    torch = sys.modules.get("torch")
    versions = {"modelweave": __version__, "python": platform.python_version(), "numpy": np.__version__}
    if torch is not None:
        versions["torch"] = str(torch.__version__)
    record = {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "seed": seed,
        "recipe": recipe,
        "inputs": list(inputs),
        "versions": versions,
        **more,
        "tensors": list(tensors),
    }
    cleaned: dict[str, Any] = _without_secrets(record)
    return cleaned


def without_secrets(text: str) -> str:
    """An address without user, password and query; any other text as it is.

    >>> without_secrets("https://me:secret@host/model?X-Amz-Signature=1")
    'https://host/model'
    """
    if "://" not in text or any(c.isspace() for c in text):
        return text
    parts = urlsplit(text)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {without_secrets(str(key)): _without_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item) for item in value]
    return value
