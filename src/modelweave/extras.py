"""Packages that only some uses need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from .errors import MissingExtraError

_NAMES = {"sklearn": "scikit-learn"}
"""What a package is called where it is installed from, where that is not the name it is imported by."""
_HOMES = {"sklearn": "tabular", "scipy": "tabular", "pandas": "tabular", "matplotlib": "plot", "transformers": "llm", "safetensors": "llm"}
"""Package to the extra of modelweave that holds it."""


def extra(module: str, name: str = "", *, command: str = "") -> Any:
    """The module, or a MissingExtraError that says how to install it. name: the extra of modelweave that holds it.

    >>> extra("json").dumps([])
    '[]'
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingExtraError(_NAMES.get(package, package), name, command=command) from None


@contextmanager
def extras_named() -> Iterator[None]:
    """A block that may import optional packages anywhere below; one that is missing becomes a MissingExtraError that names its extra.

    >>> with extras_named():
    ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _HOMES:
            raise
        raise MissingExtraError(_NAMES.get(package, package), _HOMES[package]) from error
