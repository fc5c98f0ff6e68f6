"""The row: one frozen dataclass that describes a published method, for every family.

Help texts, recipe checks, the documentation's tables and the contract tests are generated from rows,
so nothing about a method is said twice. Rows import no tensor library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from .errors import ParameterError, unknown

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "required"})()
"""The default of a parameter that has none."""

Kind = Literal["float", "int", "bool", "str"]
Scope = Literal["shared", "model", "input"]
SCOPES: tuple[Scope, ...] = ("shared", "model", "input")
Setting = Literal["scale", "draws", "ranked_over", "rescale"]
"""What of a plan a parameter may set: see TensorPlan."""


@dataclass(frozen=True)
class Parameter:
    """A named option with its type, range and default.

    Attributes:
        name: the word under which it is given.
        kind: `float`, `int`, `bool` or `str`.
        default: its value where none is given; without one it is required.
        scope: `shared` (one value a tensor), `model` (one a member, the base has none) or `input` (one a member, base included).
        at_least: the least legal number.
        above: a number that legal ones are above.
        at_most: the largest legal number.
        choices: the legal values, where these are few.
        aliases: further words for it.
        help: what it does, in a few words.
        sets: the field of the plan that it sets, where the engine acts on it and not a part alone.
        example: the value in examples and generated tests, the default unless it shows nothing; None: left out there.

    >>> Parameter("density", "float", 1.0, above=0, at_most=1).range
    'a number above 0 and at most 1'
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
    example: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def shown(self) -> Any:
        """The value in examples; None for a parameter that is left out."""
        value = self.default if self.example is REQUIRED else self.example
        return None if value is REQUIRED else value

    @property
    def words(self) -> tuple[str, ...]:
        """The names under which it may be given."""
        return (self.name, *self.aliases)

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
        """The value in the parameter's type.

        Args:
            value: as it was given.
            where: what the message of an error starts with.

        Raises:
            ParameterError: for a value of another type or out of range.

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
class Row:
    """One published method of a family; the families' rows add what runs it.

    Attributes:
        name: the word for it.
        title: in words.
        formula: in one line of plain text.
        source: the paper and section.
        level: the family's folder, as in "weights" or "outputs/predictions".
        group: of like methods, in the order in which they are listed.
        purpose: when to use it, in about six words.
        parameters: its options.
        presets: other defaults by name, where a paper or a tool differs; what a user gives goes before them.
        constraint: a check over several parameters at once; returns the complaint or None.
        keeps: the properties that the generated contract tests hold it to.
        paper: its number in the index of papers.
        note: what else to know.
    """

    name: str
    title: str
    formula: str
    source: str
    _: KW_ONLY
    level: str
    group: str = ""
    purpose: str = ""
    parameters: tuple[Parameter, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    constraint: Callable[[Mapping[str, Any]], str | None] | None = None
    keeps: frozenset[str] = frozenset()
    paper: int | None = None
    note: str = ""

    @property
    def takes(self) -> str:
        """What it is given, in a word or two, for a list of many."""
        return ""

    @property
    def facts(self) -> Mapping[str, str]:
        """What the family says of its rows beyond these fields, in words: a heading and a text each."""
        return {}

    @property
    def data(self) -> Mapping[str, Any]:
        """The same, ready for JSON."""
        return {}

    @property
    def example(self) -> str | Mapping[str, Any]:
        """Something to start from: a command, or a recipe as data."""
        return ""

    def parameter(self, word: str, where: str) -> Parameter:
        """The parameter of a name or alias.

        Args:
            word: the name or alias.
            where: what the message of an error starts with.

        Raises:
            ParameterError: for a word that is none; it names the nearest.
        """
        for parameter in self.parameters:
            if word in parameter.words:
                return parameter
        known = [word for p in self.parameters for word in p.words]
        if not known:
            raise ParameterError(f"{where}: {self.name} takes no parameters, got '{word}'")
        raise ParameterError(f"{where}: " + unknown(f"parameter of {self.name}", word, known))

    def preset(self, name: str | None) -> Mapping[str, Any]:
        """The defaults of that name, or a ParameterError that lists those there are; no name, no values."""
        if name is None:
            return {}
        if name not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise ParameterError(f"preset: unknown preset '{name}', {self.name} has {known}; choose one, or give parameters")
        return self.presets[name]

    def settle(
        self,
        given: Mapping[str, Any],
        preset: str | None = None,
        *,
        where: str = "options",
        scopes: Collection[Scope] = SCOPES,
        lacking: str = "",
    ) -> dict[str, Any]:
        """All parameters of these scopes with their values: what is given, else what the preset says, else the default.

        Args:
            given: by name or alias.
            preset: the name of one of the row's presets.
            where: for messages, who gave them.
            scopes: of the parameters.
            lacking: what to say where a required one is not given, its help by default.

        Raises:
            ParameterError: for names that are not known or given twice, values out of range, and values that do not go together.
        """
        values = {p.name: p.default for p in self.parameters if p.scope in scopes}
        values |= {word: value for word, value in self.preset(preset).items() if word in values}
        words: dict[str, str] = {}
        for word, value in given.items():
            parameter = self.parameter(word, where)
            if parameter.name in words:
                raise ParameterError(f"{where}: {words[parameter.name]} and {word} are the same parameter; keep one")
            words[parameter.name] = word
            values[parameter.name] = parameter.check(value, where)
        for p in self.parameters:
            if values.get(p.name) is REQUIRED:
                raise ParameterError(f"{where}: {self.name} needs {p.name} ({p.range}), {lacking or p.help}")
        if {p.scope for p in self.parameters} <= set(scopes):
            self.check_together(values, where)
        return values

    def check_together(self, values: Mapping[str, Any], where: str) -> None:
        """Refuse values that are each legal and do not go together.

        Args:
            values: of all parameters.
            where: what the message of an error starts with.

        Raises:
            ParameterError: where the row's constraint complains.
        """
        complaint = self.constraint(values) if self.constraint else None
        if complaint:
            raise ParameterError(f"{where}: {self.name}: {complaint}")
