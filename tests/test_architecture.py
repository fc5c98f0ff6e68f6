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
    {"catalog", "describe"},
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


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """The groups of more than one node that can each be reached from all others in it (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in arrows[node]:
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            group = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in arrows:
        if node not in number:
            visit(node)
    return found


def test_no_files_go_in_a_circle() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert circles({module: set(imports(module)) for module in MODULES}) == []


def test_no_folders_go_in_a_circle() -> None:
    """Folders of one package take from each other in one direction; files beside the folders are rooms of their own."""

    def folder(module: str) -> str:
        parts = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
        return ".".join(parts[:2]) if len(parts) > 1 else module

    arrows: dict[str, set[str]] = {}
    for module in MODULES:
        arrows.setdefault(folder(module), set()).update(folder(other) for other in imports(module))
    assert circles({name: {o for o in others if o != name} for name, others in arrows.items()}) == []


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


def test_one_name_is_one_class() -> None:
    found = [node.name for path in FILES for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    assert {name for name in found if found.count(name) > 1 and not name.startswith("_")} == set()
