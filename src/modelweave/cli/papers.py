"""`modelweave papers`: the papers whose methods are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from .options import Json
from .printing import show_json, show_table


def papers(json: Json = False) -> None:
    """List the papers, and which of them `reproduce` can check.

    \b
    Example:
      modelweave papers
    """
    rows = paper_rows()
    if json:
        return show_json(rows)
    columns = list(rows[0]) if rows else ["number"]
    show_table([f">{c}" if c == "number" else c for c in columns], [[_word(row[c]) for c in columns] for row in rows])


def paper_rows() -> list[dict[str, Any]]:
    """The index as plain data: what is a number, a text or a truth value of each entry."""
    from ..papers.index import PAPERS

    entries: Iterable[Any] = PAPERS.values() if isinstance(PAPERS, Mapping) else PAPERS
    return [_plain(entry) for entry in entries]


def _plain(entry: Any) -> dict[str, Any]:
    names = [field.name for field in fields(entry)] if is_dataclass(entry) else list(vars(entry))
    return {name: value for name in names if isinstance(value := getattr(entry, name), (str, int, float, bool)) or value is None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)
