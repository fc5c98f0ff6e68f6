"""Every published method, by name: the families' tables, collected one by one."""

from __future__ import annotations

from .errors import RecipeError, unknown
from .method import Method
from .weights.published import ROWS as WEIGHTS

METHODS: dict[str, Method] = {row.name: row for row in WEIGHTS}


def method(name: str) -> Method:
    """The row of that name, or a RecipeError that names the nearest.

    >>> method("ties").parts
    'keep_top -> sign_consensus'
    """
    if name not in METHODS:
        raise RecipeError(unknown("method", name, METHODS))
    return METHODS[name]
