"""Packages that only some uses need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import MissingExtraError


def extra(module: str, name: str = "", *, command: str = "") -> Any:
    """The module, or a MissingExtraError that says how to install it. name: the extra of modelweave that holds it.

    >>> extra("json").dumps([])
    '[]'
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0].replace("sklearn", "scikit-learn"), name, command=command) from None
