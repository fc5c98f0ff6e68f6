"""What a check looks at, as an expression over cells: `gap("TIES", "task arithmetic")`, `value("a") / value("b")`.

A measure is data. It says what is compared, and is asked for its numbers when the rows are there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .rows import Rows, Values


class Measure(ABC):
    """A number a seed, unless `overall` made one number of all."""

    signed = False
    """Whether it is a difference, so that its bounds are written with their sign."""
    single = False
    """Whether it is one number for all seeds."""

    @abstractmethod
    def of(self, rows: Rows) -> Values:
        """Its numbers in these rows."""

    def __sub__(self, other: Measure | float) -> Measure:
        return _Applied(lambda parts: parts[0] - parts[1], (self, _measure(other)), signed=True)

    def __truediv__(self, other: Measure | float) -> Measure:
        return _Applied(lambda parts: parts[0] / parts[1], (self, _measure(other)))

    def __neg__(self) -> Measure:
        return _Applied(lambda parts: -parts[0], (self,), signed=True)

    def __abs__(self) -> Measure:
        return _Applied(lambda parts: abs(parts[0]), (self,))


def value(condition: str, column: str = "", *, at: str = "") -> Measure:
    """A condition's cell in the column, the experiment's first by default. at: what the condition's name ends with, after a comma."""
    return _Cell(f"{condition}, {at}" if at else condition, column)


def gap(better: str | Measure, worse: str | Measure, column: str = "", *, at: str = "") -> Measure:
    """By how much one is above the other.

    >>> rows = Rows([{"seed": 0, "condition": "a, n=2", "x": 3.0}, {"seed": 0, "condition": "b, n=2", "x": 1.0}])
    >>> gap("a", "b", "x", at="n=2").of(rows)
    array([2.])
    """
    return _measure(better, column, at) - _measure(worse, column, at)


def largest(*parts: str | Measure, column: str = "") -> Measure:
    """The largest of several, for each seed."""
    return _across(np.max, parts, column)


def smallest(*parts: str | Measure, column: str = "") -> Measure:
    """The smallest of several, for each seed."""
    return _across(np.min, parts, column)


def average(*parts: str | Measure, column: str = "") -> Measure:
    """The mean of several, for each seed."""
    return _across(np.mean, parts, column)


def every(column: str) -> Measure:
    """All cells of a column, whatever their condition."""
    return _Column(column, np.asarray)


def worst(column: str) -> Measure:
    """The largest cell of a column, for each seed."""
    return _Column(column, np.max)


def joined(*parts: Measure) -> Measure:
    """The numbers of several, one after the other."""
    return _Applied(np.concatenate, parts, any(part.signed for part in parts))


def overall(reduce: Callable[[Any], Any], *parts: Measure) -> Measure:
    """One number for all seeds: a function of all the parts' numbers. The mean of differences is a difference."""
    signed = reduce is np.mean and any(part.signed for part in parts)
    return _Applied(lambda found: reduce(np.concatenate(found)), parts, signed, single=True)


def _measure(what: Measure | str | float, column: str = "", at: str = "") -> Measure:
    if isinstance(what, str):
        return value(what, column, at=at)
    return what if isinstance(what, Measure) else _Constant(what)


@dataclass(frozen=True)
class _Cell(Measure):
    condition: str
    column: str

    def of(self, rows: Rows) -> Values:
        return rows.value(self.condition, self.column)


@dataclass(frozen=True)
class _Column(Measure):
    column: str
    reduce: Callable[[Values], Any]

    def of(self, rows: Rows) -> Values:
        return np.hstack([self.reduce(found) for found in rows.cells(self.column)])


@dataclass(frozen=True)
class _Constant(Measure):
    number: float

    def of(self, rows: Rows) -> Values:
        return np.asarray(self.number, np.float64)


@dataclass(frozen=True)
class _Applied(Measure):
    """A function of the parts' numbers."""

    function: Callable[[Any], Any]
    parts: tuple[Measure, ...]
    signed: bool = False
    single: bool = False

    def of(self, rows: Rows) -> Values:
        return np.atleast_1d(self.function([part.of(rows) for part in self.parts]))


def _across(reduce: Callable[..., Any], parts: Sequence[str | Measure], column: str) -> Measure:
    measures = tuple(_measure(part, column) for part in parts)
    return _Applied(partial(reduce, axis=0), measures, any(measure.signed for measure in measures))
