"""The row: one frozen dataclass that describes a published method, for every family.

Help texts, recipe checks, the documentation's tables and the contract tests are generated from rows,
so nothing about a method is said twice. Rows import no tensor library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .errors import ParameterError, unknown

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()
"""The default of a parameter that has none."""

Kind = Literal["float", "int", "bool", "str"]
Scope = Literal["shared", "model", "input"]
Setting = Literal["scale", "draws", "ranked_over", "rescale"]
"""What of a plan a parameter may set: see TensorPlan."""
Property = Literal["order_free", "exact_on_identical", "in_span", "seeded", "zero_delta_is_base", "single_is_itself"]


@dataclass(frozen=True)
class Parameter:
    """A named option with its type, range and default.

    scope: `shared` (one value a tensor), `model` (one a member, the base has none) or `input` (one a member, base included).
    sets: the field of the plan that it sets, where the engine acts on it and not a part alone.
    """

    name: str
    kind: Kind
    default: Any = REQUIRED
    scope: Scope = "shared"
    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    help: str = ""
    sets: Setting | None = None

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def range(self) -> str:
        """The legal values in words, as in "a number above 0 and at most 1"."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        words = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}[self.kind]
        limits = []
        if self.above > -math.inf:
            limits.append(f"above {self.above:g}")
        if self.at_least > -math.inf:
            limits.append(f"at least {self.at_least:g}")
        if self.at_most < math.inf:
            limits.append(f"at most {self.at_most:g}")
        return " ".join([words, " and ".join(limits)]).strip()

    def check(self, value: Any, where: str) -> Any:
        """The value in the parameter's type, or a ParameterError that starts with `where`.

        >>> Parameter("density", "float", 1.0, above=0, at_most=1).check("2e-1", "models[0]")
        0.2
        """
        try:
            good = self._convert(value)
        except (TypeError, ValueError, OverflowError):
            good = None
        if good is None or not self._inside(good):
            raise ParameterError(f"{where}: {self.name} must be {self.range}, got {value!r}")
        return good

    def _convert(self, value: Any) -> Any:
        if self.kind == "bool":
            # mergekit's files write 1/0 and 1.0/0.0 for flags
            return bool(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None
        if value is None or isinstance(value, (bool, dict, list)):
            return None
        if self.kind == "str":
            return str(value)
        number = float(value)
        if not math.isfinite(number):
            return None
        if self.kind == "int":
            return int(number) if number == int(number) else None
        return number

    def _inside(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.kind in ("bool", "str"):
            return True
        return bool(self.at_least <= value <= self.at_most and value > self.above)


@dataclass(frozen=True)
class Needs:
    """What must be at hand. `min_models` and `max_models` count the members without the base."""

    base: Literal["required", "optional", "input", "first"] = "input"
    """`required`: deltas are taken from it. `optional`: likewise when given. `input`: a base is an ordinary member.
    `first`: required, and the first of the inputs instead of what deltas are taken from."""
    min_models: int = 1
    max_models: int | None = None


class Rescaling(NamedTuple):
    """factor: on a direction, for the whole model. record: what the result's manifest keeps for a later merge to go on from."""

    factor: float
    record: Mapping[str, Any]
    warning: str = ""


@dataclass(frozen=True)
class Method:
    """One published method of the weights family, as a composition of parts: per_delta -> space -> combine -> after.

    merged = base + scale * direction, or combine's own result for methods on weights instead of deltas. per_delta: selections, or
    functions (deltas, context) -> deltas. space: (deltas, context) -> (deltas there, function back). after: (direction, context) ->
    direction. A space, a step after and functions per delta go with a combine that is a function of tensors.
    `keeps` are the properties that the generated contract tests hold it to.
    """

    name: str
    title: str
    formula: str
    source: str
    combine: Callable[..., Any]
    per_delta: tuple[Callable[..., Any], ...] = ()
    space: Callable[..., Any] | None = None
    after: tuple[Callable[..., Any], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    needs: Needs = field(default_factory=Needs)
    keeps: frozenset[Property] = frozenset()
    paper: int | None = None
    level: str = "weights"
    note: str = ""
    masks: Callable[..., Any] | None = None
    """(deltas, direction) -> which entries of the direction are a member's own; saved beside a result that is written."""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other defaults by name, where a paper or a tool differs; what a recipe says itself goes before them."""
    constraint: Callable[[Mapping[str, Any]], str | None] | None = None
    """A check over several parameters of one member at once; returns the complaint or None."""
    over_model: Callable[[Sequence[float], float, Sequence[Mapping[str, Any]]], Rescaling] | None = None
    """(norms of the members' changes, norm of the direction, the members' records) -> factor; norms are over the whole model."""

    @property
    def parts(self) -> str:
        """The composition in words, as in "keep_top -> sign_consensus"."""
        steps = [*self.per_delta, *([self.space] if self.space else []), self.combine, *self.after]
        return " -> ".join(step.__name__ for step in steps)

    def parameter(self, word: str, where: str) -> Parameter:
        """The parameter of that name or alias, or a ParameterError that names the nearest."""
        for parameter in self.parameters:
            if word == parameter.name or word in parameter.aliases:
                return parameter
        known = [word for p in self.parameters for word in (p.name, *p.aliases)]
        raise ParameterError(f"{where}: " + unknown(f"parameter of {self.name}", word, known))
