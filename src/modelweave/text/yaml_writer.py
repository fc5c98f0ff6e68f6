"""Plain data as YAML that people read: blocks, with the mappings inside lists of blocks on one line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

_WORD = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_NO_TEXT = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""Words that YAML reads as something else than text."""


def write_yaml(data: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """The text, which every YAML reader reads back as the same data. comments: one line each, ahead of it.

    >>> print(write_yaml({"merge_method": "ties", "models": [{"model": "a", "parameters": {"density": 0.5}}]}), end="")
    merge_method: ties
    models:
      - model: a
        parameters: {density: 0.5}
    """
    # what is said may hold line breaks, a comment may not
    lines = [f"# {' '.join(comment.split())}" for comment in comments]
    return "\n".join([*lines, *([""] if lines else []), *_block(data), ""])


def scalar(value: Any) -> str:
    """One value as YAML reads it back, whatever it looks like.

    >>> scalar("org/name"), scalar("007"), scalar("a: b"), scalar(True), scalar(1e-5)
    ('org/name', "'007'", "'a: b'", 'true', '0.00001')
    """
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _NO_TEXT:
        return value
    if isinstance(value, (bool, int)):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        # YAML 1.1 takes 1e-05 for text
        return format(Decimal(repr(value)), "f") if "e" in repr(value) else repr(value)
    return _dumped(value, '"' if isinstance(value, str) and "\n" in value else None)


def _block(data: Mapping[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield f"{scalar(key)}:"
            yield from (f"  {line}" for line in _block(value))
        elif _is_list(value) and any(isinstance(entry, (Mapping, str)) for entry in value):
            yield f"{scalar(key)}:"
            for entry in value:
                yield from _entry(entry)
        else:
            yield f"{scalar(key)}: {_flow(value)}"


def _entry(entry: Any) -> Iterator[str]:
    """An entry of a list of blocks: each of its keys on a line."""
    lines = [f"{scalar(key)}: {_flow(value)}" for key, value in entry.items()] if isinstance(entry, Mapping) else [_flow(entry)]
    yield from (f"  {'- ' if not place else '  '}{line}" for place, line in enumerate(lines))


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_inside(key)}: {_flow_value(inner)}' for key, inner in value.items())}}}"
    return f"[{', '.join(map(_flow_value, value))}]" if _is_list(value) else scalar(value)


def _flow_value(value: Any) -> str:
    return _flow(value) if isinstance(value, Mapping) or _is_list(value) else _inside(value)


def _inside(value: Any) -> str:
    """A scalar between brackets, where commas and braces end it unless it is in quotes."""
    written = scalar(value)
    return _dumped(value, '"') if isinstance(value, str) and set(written) & set(",[]{}") else written


def _dumped(value: Any, style: str | None) -> str:
    import yaml

    written: str = yaml.safe_dump(value, default_style=style, width=1 << 16, allow_unicode=True)
    return written.removesuffix("...\n").strip()


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
