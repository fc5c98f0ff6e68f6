"""Every published method, by name: the families' tables, collected one by one."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import RecipeError, unknown
from .outputs.predictions.learner import Learner
from .outputs.predictions.published import LEARNERS
from .row import Method
from .weights import published, published_masked, published_placed, published_spectral

_TABLES = (published, published_masked, published_spectral, published_placed)
METHODS: dict[str, Method] = {row.name: row for table in _TABLES for row in table.ROWS}

__all__ = ["LEARNERS", "METHODS", "any_row", "method"]


def any_row(name: str) -> Method | Learner:
    """The row of that name in any family, or a RecipeError that names the nearest."""
    rows: dict[str, Method | Learner] = {**METHODS, **LEARNERS}
    return rows[_known(name, rows)]


def method(name: str) -> Method:
    """The merge method of that name, or a RecipeError that names the nearest.

    >>> method("ties").parts
    'keep_top -> sign_consensus'
    """
    return METHODS[_known(name, METHODS)]


def _known(name: str, names: Iterable[str]) -> str:
    if not isinstance(name, str) or name not in names:
        raise RecipeError(unknown("method", name, names))
    return name
