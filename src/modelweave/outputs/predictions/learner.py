"""The row of a weight learner, and what fitting one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError, ParameterError, unknown
from ...row import REQUIRED, Parameter
from .metrics import CLASSES, Task

ALL: tuple[Task, ...] = (*CLASSES, "regression")


@dataclass(frozen=True)
class About:
    """What else is known of each row, an array of one value a row or None: its weight in the loss, the segment it belongs to, the group
    that may not be on both sides of a fold, its time."""

    weight: NDArray[Any] | None = None
    segments: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    time: NDArray[Any] | None = None

    def take(self, rows: Any) -> About:
        """The same of some of the rows."""
        return About(**{name: None if value is None else value[rows] for name, value in self.named().items()})

    def named(self) -> dict[str, NDArray[Any] | None]:
        """Name to array."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def about(rows: int, **given: Any) -> About:
    """Checked arrays; CompatibilityError for one of another length."""
    found = {}
    for name, values in given.items():
        array = None if values is None else np.asarray(values)
        if array is not None and array.shape != (rows,):
            raise CompatibilityError(f"{name}: expected one value for each of {rows} rows, got shape {array.shape}")
        found[name] = array
    weight = found.get("weight")
    if weight is not None:
        weight = found["weight"] = weight.astype(np.float64)
        if not np.isfinite(weight).all() or weight.min() < 0 or weight.sum() <= 0:
            raise CompatibilityError("weight: expected finite numbers of at least 0 that are not all 0")
    return About(**found)


class Pick(NamedTuple):
    """One round of a fit: what was added and the score on the fitted rows then."""

    member: str
    score: float


@dataclass(frozen=True)
class FittedRule:
    """rule: what predicts. trajectory: how the fit went, whole, also past what was kept."""

    rule: Any
    trajectory: tuple[Pick, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Learner:
    """One way to make an ensemble of predictions.

    fit: (pool, y, metric, *, seed, weight, segments, groups, time, **parameters) -> FittedRule, on rows that all members cover.
    learns: whether the rule depends on the targets. linear: whether the rule is one weight a member.
    """

    name: str
    title: str
    formula: str
    source: str
    fit: Callable[..., FittedRule]
    tasks: tuple[Task, ...] = ALL
    parameters: tuple[Parameter, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    paper: int | None = None
    learns: bool = True
    needs_segments: bool = False
    level: str = "outputs"

    def settle(self, given: Mapping[str, Any], preset: str | None = None) -> dict[str, Any]:
        """All parameters with their values, or a ParameterError that names what is wrong."""
        if preset is not None and preset not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise ParameterError(f"preset: {self.name} has no preset '{preset}'; known: {known}")
        values = {p.name: p.default for p in self.parameters}
        values.update(self.presets.get(preset or "", {}))
        by_name = {p.name: p for p in self.parameters}
        for word, value in given.items():
            if word not in by_name:
                raise ParameterError(f"{self.name}: " + unknown("option", word, by_name))
            values[word] = by_name[word].check(value, self.name)
        for parameter in self.parameters:
            if values[parameter.name] is REQUIRED:
                raise ParameterError(f"{self.name}: needs {parameter.name}, {parameter.help}")
        return values
