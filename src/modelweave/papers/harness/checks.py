"""Checks as data: what is compared, the bound, and what kind of statement it is; the words are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol, get_args

import numpy as np

from ...statistics.seeds import t_interval
from .measures import Measure
from .rows import Rows, Values

Kind = Literal["claim", "control", "invariant", "report"]
Over = Literal["each", "on average", "in the 95 % interval"]

UNBOUNDED = "no claim"
"""What is expected of a report that has no bound."""
_OVER: dict[Over, Callable[[Values], Values]] = {
    "each": np.asarray,
    "on average": np.mean,
    "in the 95 % interval": lambda values: np.array(t_interval(values.tolist())),
}
"""What of the seeds' numbers must lie within a bound: all, their mean, or both ends of the interval of their mean."""


@dataclass(frozen=True)
class Bound:
    """Between low and high, or strictly between; over: what of the seeds' numbers must lie there."""

    low: float = -inf
    high: float = inf
    strict: bool = False
    over: Over = "each"

    def holds(self, values: Values) -> bool:
        """Whether the numbers are as expected."""
        of = np.asarray(_OVER[self.over](values))
        inside = (of > self.low) & (of < self.high) if self.strict else (of >= self.low) & (of <= self.high)
        return bool(inside.all())

    def words(self, measure: Measure) -> str:
        """What is expected of the measure.

        >>> from .measures import gap, value
        >>> at_least(0.05).words(gap("a", "b")), at_least(0.05, "on average").words(value("a")), within(0.1).words(gap("a", "b"))
        ('>= +0.05 each', '>= 0.05 on average', 'within 0.1 each')
        """
        low, high = (_in_words(end, signed=measure.signed) for end in (self.low, self.high))
        if low == high:
            words = f"exactly {low}" if self.low == self.high else low
        elif self.low == -self.high:
            words = f"within {_in_words(self.high)}"
        elif self.low == -inf or self.high == inf:
            words = f"> {low}" if self.high == inf else f"< {high}"
            words = words if self.strict else words.replace(" ", "= ", 1)
        else:
            words = f"in [{_in_words(self.low)}, {_in_words(self.high)}]"
        return words if measure.single else f"{words} {self.over}"


def _in_words(number: float, *, signed: bool = False) -> str:
    return f"{number:+.4g}" if signed and number else f"{number:.4g}"


def at_least(low: float, over: Over = "each") -> Bound:
    """>= low."""
    return Bound(low=low, over=over)


def above(low: float, over: Over = "each") -> Bound:
    """> low."""
    return Bound(low=low, strict=True, over=over)


def at_most(high: float, over: Over = "each") -> Bound:
    """<= high."""
    return Bound(high=high, over=over)


def below(high: float, over: Over = "each") -> Bound:
    """< high."""
    return Bound(high=high, strict=True, over=over)


def between(low: float, high: float, over: Over = "each") -> Bound:
    """From low to high, ends included."""
    return Bound(low, high, over=over)


def within(distance: float, over: Over = "each") -> Bound:
    """No farther from 0."""
    return Bound(-distance, distance, over=over)


def exactly(number: float, *, but_for: float = 0.0) -> Bound:
    """That number, to a distance that no one would print."""
    return Bound(number - but_for, number + but_for)


@dataclass(frozen=True)
class Finding:
    """How a check came out. got: one number a seed, or one for all seeds."""

    name: str
    expected: str
    got: tuple[float, ...]
    holds: bool
    kind: Kind


@dataclass(frozen=True)
class Check:
    """One statement about the rows.

    kind: a `claim` must hold; a `control` says that without its working part the method gains nothing; an `invariant` is an identity,
    which only an error can break; a `report` is printed as it came out and decides nothing.
    """

    name: str
    measure: Measure
    bounds: tuple[Bound, ...]
    kind: Kind

    def judge(self, rows: Rows) -> Finding:
        """Compare the rows with the bounds."""
        got = self.measure.of(rows)
        words = ", ".join(bound.words(self.measure) for bound in self.bounds)
        if self.kind == "report":
            words = f"{UNBOUNDED}: {words}" if words else UNBOUNDED
        return Finding(self.name, words, tuple(got.tolist()), all(bound.holds(got) for bound in self.bounds), self.kind)


class _Kind(Protocol):
    def __call__(self, name: str, measure: Measure, *bounds: Bound) -> Check: ...


def _of_kind(kind: Kind) -> _Kind:
    return lambda name, measure, *bounds: Check(name, measure, bounds, kind)


claim, control, invariant, report = map(_of_kind, get_args(Kind))
"""A check of that kind: its name, what is compared, and the bounds."""
