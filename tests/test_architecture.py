"""The map of the house is true: imports point down only, nothing goes in circles, and docs/architecture.md draws what is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "modelweave"
FLOORS = (
    {"errors", "lazy", "row", "version", "text", "statistics", "files", "drawing", "extras"},
    {"checkpoints"},
    {"networks"},
    {"weights", "layers", "experts", "outputs", "training", "data", "analysis"},
    {"catalog"},
    {"recipes"},
    {"engine"},
    {"evaluation"},
    {"serving", "papers", "predictions"},
    {"cli"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FAMILIES = FLOORS[3]
FILES = sorted(p for p in SOURCE.rglob("*.py") if p not in (SOURCE / "__init__.py", SOURCE / "__main__.py"))
MODULES = {".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the package that one takes names from when it is used, wherever the line stands; not those for type checkers alone."""
    path = MODULES[module]
    inside = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found: set[str] = set()
    for node in taken(ast.parse(path.read_text(encoding="utf-8"))):
        if node.level == 0:
            continue
        base = [*inside[: len(inside) - node.level + 1], *(node.module.split(".") if node.module else [])]
        for name in node.names:
            found |= {word for word in (".".join([*base, name.name]), ".".join(base)) if word in MODULES}
    return frozenset(found - {module})


def taken(tree: ast.AST) -> list[ast.ImportFrom]:
    """All `from ... import` below a node, but for those under `if TYPE_CHECKING`."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            found.append(node)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            found += taken(node)
    return found


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_stands_on_a_floor() -> None:
    assert {room(module) for module in MODULES} <= set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    own = room(module)
    for other in imports(module):
        there = room(other)
        assert FLOOR[there] <= FLOOR[own], f"{module} takes from {other}, a floor above it"
        if {own, there} <= FAMILIES and own != there:
            assert own == "training" or there == "weights", f"{module} takes from {other}, another family"


def test_the_drawn_tree_is_the_tree() -> None:
    """Every file and folder directly in the package is drawn on the page, and nothing else is."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = re.search(r"^src/modelweave/\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert drawing is not None
    top = {re.match(r"  (\S.*)", line) for line in drawing[1].splitlines()}
    names = {word for found in top if found for word in re.findall(r"[a-z_]+(?:\.py|/)", found[1].partition("    ")[0])}
    there = {p.name for p in SOURCE.glob("*.py") if not p.name.startswith("__")}
    there |= {f"{p.name}/" for p in SOURCE.iterdir() if p.is_dir() and not p.name.startswith("_")}
    assert names == there, names ^ there
