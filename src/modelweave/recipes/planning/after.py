"""The recipe's `after`: steps that change the size of what was merged, by a tensor's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...catalog import STEPS
from ...errors import RecipeError, unknown
from ...weights.method import Method

Factor = partial[float]
"""(layer, layers, members) -> factor."""


def steps_of(entries: Sequence[Any], method: Method, has_base: bool) -> tuple[Factor, ...]:
    """The steps in order. Raises RecipeError for what is no step, or where there is no change from a base to scale."""
    if entries and (method.needs.base in ("input", "first") or not has_base):
        remedy = "add base_model" if method.needs.base == "optional" else "take a method that merges changes from a base"
        raise RecipeError(f"after: scales changes from a base, and {method.name} has none here; {remedy}")
    return tuple(_step(entry, f"after[{index}]") for index, entry in enumerate(entries))


def _step(entry: Any, where: str) -> Factor:
    named = {entry: {}} if isinstance(entry, str) else entry
    if not isinstance(named, Mapping) or len(named) != 1:
        raise RecipeError(f"{where}: expected the name of a step, or one name with its parameters, got {entry!r}")
    name, given = next(iter(named.items()))
    if name not in STEPS:
        raise RecipeError(f"{where}: " + unknown("step", str(name), STEPS))
    if given is not None and not isinstance(given, Mapping):
        raise RecipeError(f"{where}.{name}: expected parameters by name, got {given!r}")
    return partial(STEPS[name].function, **STEPS[name].settle(given or {}, where=f"{where}.{name}"))
