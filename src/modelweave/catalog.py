"""Every published method, by level and name: the families' tables, one by one.

A level is a family's folder. Names are unique within a level; two families may both have a `mean`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import ParameterError, RecipeError, unknown
from .outputs.predictions.published import LEARNERS
from .outputs.text_table.published import MEMBERS
from .row import Row
from .weights.after.steps import ROWS as STEP_ROWS
from .weights.after.steps import Step
from .weights.method import Method, Needs
from .weights.rows import ROWS as METHOD_ROWS

METHODS: dict[str, Method] = {row.name: row for row in METHOD_ROWS}
STEPS: dict[str, Step] = {row.name: row for row in STEP_ROWS}


class Family(NamedTuple):
    """The rows of a level by name. title: what they do, and where. symbols: what stands in their formulas."""

    title: str
    symbols: str
    rows: Mapping[str, Row]


LEVELS: Mapping[str, Family] = {
    "weights": Family(
        "merge weights, with modelweave merge",
        "x_i is a model, d_j a member's change from the base, w_j its weight.",
        METHODS,
    ),
    "weights/after": Family("steps after a merge, under `after` in a recipe", "", STEPS),
    "outputs/predictions": Family(
        "blend predictions, with modelweave blend",
        "p_j is a member's prediction of a row, S the sum of those taken so far.",
        LEARNERS,
    ),
    "outputs/text_table": Family("members of TextTableClassifier and TextTableRegressor", "x is a row of the table.", MEMBERS),
}

__all__ = ["LEARNERS", "LEVELS", "MEMBERS", "METHODS", "STEPS", "Family", "method", "named", "row", "rows"]


def rows(level: str | None = None) -> tuple[Row, ...]:
    """All rows, or those of a level and of the levels within it; a level may be called by its last word alone.

    Raises ParameterError for a level that there is none of.
    >>> [row.name for row in rows("weights/after")], len(rows("predictions")) == len(LEARNERS)
    (['lines'], True)
    """
    chosen = [name for name in LEVELS if level is None or f"/{level}/" in f"/{name}/"]
    if not chosen:
        raise ParameterError("level: " + unknown("level", level, LEVELS))
    return tuple(row for name in chosen for row in LEVELS[name].rows.values())


def named(name: str, level: str | None = None) -> tuple[Row, ...]:
    """The rows of that name, one a level at most, or a RecipeError that names the nearest."""
    found = rows(level)
    if not any(row.name == name for row in found):
        raise RecipeError(unknown("method", name, {row.name for row in found}))
    return tuple(row for row in found if row.name == name)


def row(name: str, level: str | None = None) -> Row:
    """The row of that name, or a RecipeError that names the nearest, or the levels that have one of that name each.

    >>> row("greedy").level
    'outputs/predictions'
    """
    found = named(name, level)
    if len(found) > 1:
        raise RecipeError(f"method '{name}' is one of {' and one of '.join(row.level for row in found)}; name the level, too")
    return found[0]


def method(given: str | Method | Callable[..., Any]) -> Method:
    """The merge method of that name; a row of one's own as it is; or the row of a function (changes, context) -> direction.

    Raises RecipeError, which names the nearest, for other names.
    >>> method("ties").parts, method(lambda changes, context: changes.mean(0)).needs.base
    ('keep_top -> sign_consensus', 'optional')
    """
    if isinstance(given, Method):
        return given
    if callable(given):
        name = getattr(given, "__name__", "function")
        return Method(name, name, "a function of one's own", "", combine=given, needs=Needs("optional"))
    if not isinstance(given, str) or given not in METHODS:
        raise RecipeError(unknown("method", given, METHODS))
    return METHODS[given]
