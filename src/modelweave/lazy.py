"""Public names that are loaded when they are first used.

The stub beside a package or module (`__init__.pyi`) is the one place where its public names are written, as in
`from .engine.members import merge as merge`: editors and type checkers read it, and so does this module.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from .extras import extras_named

_NAMESPACES = ("analysis", "checkpoints", "evaluation", "networks", "predictions", "statistics", "training", "weights")


@cache
def homes(file: str) -> dict[str, tuple[str, str]]:
    """Name to (relative module, name there), from the stub beside a source file."""
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    found: dict[str, tuple[str, str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            found |= {name.asname or name.name: ("." * node.level + (node.module or ""), name.name) for name in node.names}
    return found


def lazy(module: str, file: str, package: str | None) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a module whose stub stands beside it.

    Args:
        module: its `__name__`. file: its `__file__`. package: its `__package__`.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes(file):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        home, inner = homes(file)[name]
        with extras_named():
            value = import_module(home + inner, package) if home.endswith(".") else getattr(import_module(home, package), inner)
        setattr(sys.modules[module], name, value)
        return value

    names = [name for name, (home, _) in homes(file).items() if not _is_public_already(home, package)]
    return __getattr__, lambda: sorted(names), names


def _is_public_already(home: str, package: str | None) -> bool:
    """Whether a name of the root has a namespace for its home: it is documented there, and importable from the root as well."""
    return package == "modelweave" and home.lstrip(".") in _NAMESPACES
