"""A row in words: what the terminal, the documentation and JSON say of a method, whatever its family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from .row import Parameter, Row
from .text.yaml_writer import scalar, write_yaml

_SCOPES = {"shared": "all", "model": "each model", "input": "each model, base too"}


def as_dict(row: Row) -> dict[str, Any]:
    """The row ready for JSON; limits that are not there and defaults of required parameters are null."""
    return {
        "name": row.name,
        "title": row.title,
        "level": row.level,
        "group": row.group,
        "purpose": row.purpose,
        "formula": row.formula,
        **row.data,
        "properties": sorted(row.keeps),
        "parameters": [
            {**asdict(p), "default": None if p.required else p.default, "required": p.required, "range": p.range} for p in row.parameters
        ],
        "presets": {name: dict(values) for name, values in row.presets.items()},
        "source": row.source,
        "paper": row.paper,
        "note": row.note,
        "snippet": example(row),
    }


def facts(row: Row) -> Iterator[tuple[str, str]]:
    """What there is to say of a row beside its name and its parameters: a heading and a text each."""
    said = {"use it for": row.purpose, "formula": row.formula, **row.facts}
    said["properties"] = ", ".join(sorted(word.replace("_", " ") for word in row.keeps))
    said |= {"source": source(row), "note": row.note}
    if not row.parameters:
        said.setdefault("parameters", "none")
    yield from ((heading, text) for heading, text in said.items() if text)
    for name, values in row.presets.items():
        yield "preset", f"{name}: " + (", ".join(f"{word} {scalar(value)}" for word, value in values.items()) or "the defaults")


def source(row: Row) -> str:
    """Where it comes from, with the number of the paper where the source does not say it itself."""
    paper = "" if row.paper is None else f"paper {row.paper:02d}"
    return row.source if not paper or paper in row.source else f"{row.source} ({paper})".strip()


def parameter_table(row: Row) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and cells of the row's parameters; for whom each is given, where that differs.

    >>> from modelweave.catalog import method
    >>> parameter_table(method("slerp"))
    (('parameter', 'value', 'default', 'meaning'), [('t', 'a number', 'required', '0 is the base, 1 the other model')])
    """
    scoped = any(p.scope != "shared" for p in row.parameters)
    headings = ("parameter", "value", "default", *(["for"] if scoped else []), "meaning")
    cells = [(", ".join(p.words), p.range, _default(p), *([_SCOPES[p.scope]] if scoped else []), p.help) for p in row.parameters]
    return headings, cells


def example(row: Row) -> str:
    """A recipe or a command to start from.

    >>> from modelweave.catalog import method
    >>> print(example(method("slerp")), end="")
    merge_method: slerp
    base_model: path/to/first
    models:
      - model: path/to/first
      - model: path/to/second
    parameters:
      t: 0.5
    dtype: bfloat16
    """
    return write_yaml(row.example) if isinstance(row.example, Mapping) else row.example


def by_group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each group, groups in the order in which they first appear."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    return "none" if parameter.default is None else scalar(parameter.default)
