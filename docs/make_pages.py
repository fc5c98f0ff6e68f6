"""Writes docs/methods.md from the catalog and docs/reference.md from the public names: python docs/make_pages.py"""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import modelweave
from modelweave.catalog import LEVELS
from modelweave.describe import by_group, facts, parameter_table
from modelweave.row import Row
from modelweave.text.tables import as_markdown

HEAD = """# Methods

Generated from the catalog by `python docs/make_pages.py`. `modelweave methods NAME` shows the same in the terminal.
"""


def methods_page() -> str:
    """A table a group of methods, then each method with its parameters."""
    text, seen = HEAD, Counter[str]()
    for family in LEVELS.values():
        title = family.title[0].upper() + family.title[1:]
        text += f"\n## {title}\n" + (f"\n{family.symbols}\n" if family.symbols else "")
        for group, rows in by_group(family.rows.values()).items():
            links = {row.name: f"{row.name}_{seen[row.name]}" if seen[row.name] else row.name for row in rows}
            seen.update(list(links))
            lines = [(f"[`{row.name}`](#{links[row.name]})", row.purpose, row.takes, row.formula) for row in rows]
            text += f"\n### {group[0].upper()}{group[1:]}\n\n{as_markdown(('Method', 'Use it for', 'Takes', 'Computes'), lines)}"
    return text + "".join(_section(row) for family in LEVELS.values() for row in family.rows.values())


def _section(row: Row) -> str:
    said = "".join(f"- {heading}: {text}\n" for heading, text in facts(row))
    text = f"\n## {row.name}\n\n{row.title}\n\n{said}"
    if row.parameters:
        headings, cells = parameter_table(row)
        lines = [(", ".join(f"`{name}`" for name in words.split(", ")), *others) for words, *others in cells]
        text += "\n" + as_markdown([heading.capitalize() for heading in headings], lines)
    return text


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
