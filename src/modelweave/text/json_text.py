"""JSON that others wrote, in which every way to be wrong ends in one sentence, and JSON for others, without NaN and infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError


def parse_json(data: bytes, where: str, *, unique: bool = False) -> dict[str, Any]:
    """The JSON object in `data`, or a CheckpointError that begins with `where`.

    unique: whether a key that occurs twice is an error.

    >>> parse_json(b'{"a": [1]}', "config.json")
    {'a': [1]}
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique if unique else None)
    except RecursionError:
        raise CheckpointError(f"{where}: is nested too deeply, expected a plain JSON object; get a fresh copy of it") from None
    except ValueError as error:
        raise CheckpointError(f"{where}: is not valid JSON ({_short(error)}); get a fresh copy of it") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{where}: expected a JSON object, got {_kind(value)}; get a fresh copy of it")
    return value


def strict(value: Any) -> Any:
    """The same data with null for NaN and infinity.

    >>> strict({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _short(error: ValueError) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
