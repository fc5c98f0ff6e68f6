"""Writes docs/methods.md from the catalog and docs/reference.md from the public names: python docs/make_pages.py"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import modelweave
from modelweave.catalog import LEARNERS, METHODS
from modelweave.cli.methods import models_text
from modelweave.outputs.predictions.learner import Learner
from modelweave.row import Method, Parameter

HEAD = """# Methods

Generated from the catalog by `python docs/make_pages.py`. `modelweave methods NAME` shows the same in the terminal.

## Merging weights

d_j is a member's change from the base, w_j its weight; parameters marked *each* are given a member, the others once.

| Method | Computes | Parts | Base | Members | Paper |
|---|---|---|---|---|---|
"""
BLENDS = """
## Blending predictions

For `modelweave blend` and `modelweave.blend`. p_j is a member's prediction of a row, S the sum of those taken so far.

| Method | Computes | For | Source |
|---|---|---|---|
"""
BASES = {"required": "required", "optional": "optional", "input": "a member", "first": "one of the two"}


def methods_page() -> str:
    """The tables of all methods, then the parameters of each."""
    tables = HEAD + "".join(map(_line, METHODS.values())) + BLENDS + "".join(map(_blend_line, LEARNERS.values()))
    rows: list[Method | Learner] = [*METHODS.values(), *LEARNERS.values()]
    return tables + "".join(map(_section, rows))


def _line(row: Method) -> str:
    cells = (f"[`{row.name}`](#{row.name})", row.formula, row.parts, BASES[row.needs.base], models_text(row.needs), row.source)
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _blend_line(row: Learner) -> str:
    return f"| [`{row.name}`](#{row.name}) | {_cell(row.formula)} | {', '.join(row.tasks)} | {_cell(row.source)} |\n"


def _section(row: Method | Learner) -> str:
    text = f"\n## {row.name}\n\n{row.title}: {row.formula}.\n" + (f"\n{row.source}.\n" if row.source else "")
    if isinstance(row, Method) and row.note:
        text += f"\n{_sentence(row)}.\n"
    if row.presets:
        text += "\nPresets: " + "; ".join(map(_preset, row.presets.items())) + ".\n"
    if row.parameters:
        text += "\n| Parameter | Value | Default | Meaning |\n|---|---|---|---|\n" + "".join(map(_parameter, row.parameters))
    return text


def _sentence(row: Method) -> str:
    """The note with a capital letter, but for a parameter's name."""
    word = row.note.split()[0]
    return row.note if any(word in (p.name, *p.aliases) for p in row.parameters) else row.note[0].upper() + row.note[1:]


def _preset(entry: tuple[str, Mapping[str, Any]]) -> str:
    name, values = entry
    return f"`{name}` " + (", ".join(f"{word} {str(value).lower()}" for word, value in values.items()) or "the defaults")


def _parameter(p: Parameter) -> str:
    names = ", ".join(f"`{n}`" for n in (p.name, *p.aliases))
    default = "required" if p.required else "none" if p.default is None else str(p.default).lower()
    each = "" if p.scope == "shared" else " *each*"
    return f"| {names}{each} | {_cell(p.range)} | {default} | {_cell(p.help)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


REFERENCE = """# Reference

Generated from the public names by `python docs/make_pages.py`; the text is that of the docstrings.
"""


def reference_page() -> str:
    """A section for each namespace, a directive for each of its names."""
    spaces = [modelweave, *(getattr(modelweave, name) for name in modelweave.__all__ if name != "catalog")]
    return REFERENCE + "".join(_namespace(space) for space in spaces if isinstance(space, ModuleType))


def _namespace(space: ModuleType) -> str:
    names = [name for name in space.__all__ if name != "__version__" and not isinstance(getattr(space, name), ModuleType)]
    first = (import_module(space.__name__).__doc__ or "").partition("\n")[0]
    return f"\n## {space.__name__}\n\n{first}\n\n" + "\n".join(f"::: {space.__name__}.{name}" for name in names) + "\n"


if __name__ == "__main__":
    for name, text in (("methods", methods_page()), ("reference", reference_page())):
        (Path(__file__).parent / f"{name}.md").write_text(text, encoding="utf-8")
