"""The row of a weight learner, and what fitting one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from ...row import Row
from .metrics import CLASSES, Task

ALL: tuple[Task, ...] = (*CLASSES, "regression")
Property = Literal["order_free", "between_members", "single_is_itself", "seeded"]


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
    """What a learner gives.

    Attributes:
        rule: what predicts.
        trajectory: how the fit went, whole, also past what was kept.
        note: what a reader should know of the fit.
    """

    rule: Any
    trajectory: tuple[Pick, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Learner(Row):
    """One way to make an ensemble of predictions: a `Row` with what fits it.

    Attributes:
        fit: (pool, y, metric, *, seed, weight, segments, groups, time, **parameters) -> FittedRule, on rows that all members cover.
        tasks: those it applies to.
        learns: whether the rule depends on the targets.
        needs_segments: whether it needs a segment for each row.
        keeps: the properties that the generated contract tests hold it to.
        level: `outputs/predictions`.
    """

    fit: Callable[..., FittedRule]
    tasks: tuple[Task, ...] = ALL
    learns: bool = True
    needs_segments: bool = False
    keeps: frozenset[Property] = frozenset()
    level: str = "outputs/predictions"

    @property
    def takes(self) -> str:
        """As in "classes"."""
        if "regression" in self.tasks:
            return {1: "numbers", 2: "one column"}.get(len(self.tasks), "any")
        return "classes"

    @property
    def facts(self) -> Mapping[str, str]:
        return {"predicts": ", ".join(self.tasks)}

    @property
    def data(self) -> Mapping[str, Any]:
        return {"tasks": list(self.tasks)}

    @property
    def example(self) -> str:
        """The command that blends a folder of predictions by it."""
        words = [f" --set {p.name}={p.name.upper()}" for p in self.parameters if p.required]
        segments = " --segments COLUMN" if self.needs_segments else ""
        return f"modelweave blend predictions/ --targets y.csv --method {self.name}{segments}{''.join(words)}"
