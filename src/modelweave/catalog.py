"""Every published method, by name: the families' tables, collected one by one."""

from __future__ import annotations

from .errors import RecipeError, unknown
from .method import Method
from .weights import published, published_masked, published_placed, published_spectral

_TABLES = (published, published_masked, published_spectral, published_placed)
METHODS: dict[str, Method] = {row.name: row for table in _TABLES for row in table.ROWS}


def method(name: str) -> Method:
    """The row of that name, or a RecipeError that names the nearest.

    >>> method("ties").parts
    'keep_top -> sign_consensus'
    """
    if name not in METHODS:
        raise RecipeError(unknown("method", name, METHODS))
    return METHODS[name]
