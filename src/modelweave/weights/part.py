"""What a part of a weights method says: a few numbers, or a function of tensors.

Most methods need no arithmetic of their own. A part then looks at a few statistics and answers with numbers, and two kernels
that all methods share carry them out in one pass over the bytes:

- a *selection* `(count, **options) -> Ranks | Chance | Blocks` says which entries of a delta stay,
- a *mixing* `(members, **options) -> Mix` says how the selected deltas become one direction,
- *coefficients* `(gram, members, **options) -> array` give one factor a model (or one a model and row).

What works entry by entry beyond these is a *formula*: `(deltas, context, **options) -> direction`, written with the operations of
formula.py. The engine calls it with symbols and carries out what it asks for; with tensors it computes at once.

Anything else is a *function of tensors*: it gets the members' deltas (or weights) and returns the direction (or the result).
The decorators below only attach what the engine must know, so that each part stays a plain function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Members = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Ranks:
    """Keep the entries whose rank by descending magnitude is in [first, first + count); equal ones rank by place.

    Attributes:
        first: rank, from 0.
        count: how many.
        with_equals: and all that equal the last of them.
        by_row: rank within each row, first and count being for one row.

    >>> Ranks(first=0, count=3)
    Ranks(first=0, count=3, with_equals=False, by_row=False)
    """

    first: int
    count: int
    with_equals: bool = False
    by_row: bool = False


@dataclass(frozen=True)
class Chance:
    """Keep each entry with a probability that grows linearly from low (smallest magnitude of its row) to high (largest).

    Attributes:
        low: from 0 to 1.
        high: from 0 to 1.

    >>> Chance(low=0.4, high=0.6)
    Chance(low=0.4, high=0.6)
    """

    low: float
    high: float


@dataclass(frozen=True)
class Blocks:
    """Keep, of every m neighbours in a row, the n largest that no earlier member keeps; equal ones rank by place.

    A shorter block at the end of a row keeps its share, n / m rounded up. Where earlier members keep m - n or more, the rest has to do.
    """

    n: int
    m: int


@dataclass(frozen=True)
class Mix:
    """direction = sum_j weight_j d_j, over all members or over those whose vote has the elected sign, then divided.

    Attributes:
        weights: one a member.
        voices: one a member; the elected sign is that of sum_j voice_j d_j.
        elect: whether there is an election.
        divide: with an election, whether the summed shares of those that agree divide (1 where they sum to 0).
        zero_sign: stands in where the sum of voices is 0; None: the sign that most places elect.
        floor: the least that divides with an election.
        divisor: divides without an election.
        shares: one a member; the weights unless given.

    >>> Mix(weights=(0.5, 0.5)).divisor
    1.0
    """

    weights: tuple[float, ...]
    voices: tuple[float, ...] = ()
    elect: bool = False
    divide: bool = False
    zero_sign: float | None = 1.0
    floor: float = -np.inf
    divisor: float = 1.0
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Round:
    """What a formula must know of the whole tensor first: `measure(deltas, context, *, options)`, run before it and in order.

    "sums": formulas, whose sums over the tensor are found, (formulas,). "ranked": formulas and ascending ranks, from 0 or, negative, from
    the largest; found are the exact values of these ranks, compared as float32, (formulas, ranks). "rows": a function of torch tensors
    (members, rows, entries); found is one value a row, for the entries of that row.
    sparse: of ranks, that the direction is 0 where no formula reaches the value of its first rank.
    """

    kind: Literal["sums", "ranked", "rows"]
    measure: Callable[..., Any]
    sparse: bool = False


@dataclass(frozen=True)
class Spec:
    """What the engine must know of a part."""

    kind: Literal["selection", "shared_selection", "mixing", "coefficients", "formula", "tensors"]
    options: tuple[str, ...] = ()
    gram: Literal["", "tensor", "row", "column"] | Callable[[Mapping[str, Any]], str] = ""
    energy: bool = False
    sees: Literal["element", "matrix"] = "matrix"
    rounds: tuple[Round, ...] = ()
    wide: bool = False
    otherwise: Callable[..., Any] | None = None
    placed: bool = False
    row: bool = False
    beside: tuple[str, ...] = ()


def _attach(spec: Spec) -> Callable[[F], F]:
    def attach(function: F) -> F:
        function.spec = spec  # type: ignore[attr-defined]
        return function

    return attach


def selection(*options: str, row: bool = False) -> Callable[[F], F]:
    """A part `(count, *, options of one member) -> Ranks | Chance | Blocks`, for each delta.

    Args:
        options: names of the parameters that it takes.
        row: whether it gets the length of a row second.

    >>> @selection("density")
    ... def keep_top(count, *, density):
    ...     return Ranks(0, round(density * count))
    >>> keep_top(10, density=0.2).count
    2
    """
    return _attach(Spec("selection", options, row=row))


def shared_selection(*options: str) -> Callable[[F], F]:
    """A part `(nonzero, *, options) -> Ranks`, by the variance over the members at each place.

    Args:
        options: names of the parameters that it takes. Its first argument counts the non-zeros of the tensor.

    >>> @shared_selection("select_topk")
    ... def most_varied(nonzero, *, select_topk):
    ...     return Ranks(0, round(select_topk * nonzero))
    >>> most_varied(10, select_topk=0.5).count
    5
    """
    return _attach(Spec("shared_selection", options))


def mixing(*options: str, energy: bool = False) -> Callable[[F], F]:
    """A part `(members, *, options) -> Mix`.

    Args:
        options: names of the parameters that it takes.
        energy: whether it gets the mean squares of the selected deltas too.

    >>> @mixing()
    ... def total(members):
    ...     return Mix(tuple(member["weight"] for member in members))
    >>> total([{"weight": 2.0}]).weights
    (2.0,)
    """
    return _attach(Spec("mixing", options, energy=energy))


def coefficients(*options: str, gram: Any = "", placed: bool = False) -> Callable[[F], F]:
    """A part `(gram, members, *, options) -> (..., n)`: one factor a model, or one a model and row.

    Args:
        options: names of the parameters that it takes.
        gram: of the whole `tensor`, of each `row` or `column`, or a choice by options; empty for none.
        placed: whether it gets the tensor's `Context` too, as `context`, for its place in depth.

    >>> @coefficients()
    ... def equal(gram, members):
    ...     return np.full(len(members), 1 / len(members))
    >>> equal(None, [{}, {}]).tolist()
    [0.5, 0.5]
    """
    return _attach(Spec("coefficients", options, gram=gram, placed=placed))


def formula(*options: str, rounds: tuple[Round, ...] = (), wide: bool = False) -> Callable[[F], F]:
    """A part `(deltas, context, *, options) -> direction`, entry by entry; deltas are one value a member.

    rounds: what it must know of the whole tensor first, found in context.seen. wide: the arithmetic is done in float64.
    """
    return _attach(Spec("formula", options, rounds=rounds, wide=wide))


def tensors(
    *options: str, sees: Literal["element", "matrix"], otherwise: Callable[..., Any] | None = None, beside: tuple[str, ...] = ()
) -> Callable[[F], F]:
    """A part `(deltas, context, *, options) -> direction` on torch tensors (members, ...).

    Args:
        options: names of the parameters that it takes.
        sees: any chunk (`element`) or the whole `matrix`.
        otherwise: the part, of any kind, that stands in for it on tensors with other than two axes; the report names those.
        beside: what it sees beside each member, as in ("fisher",); the recipe's `statistics` say where these stand.

    >>> @tensors(sees="element")
    ... def largest(deltas, context):
    ...     return deltas.amax(0)
    >>> spec_of(largest).sees
    'element'
    """
    return _attach(Spec("tensors", options, sees=sees, otherwise=otherwise, beside=beside))


def spec_of(part: Callable[..., Any]) -> Spec:
    """The part's spec; a plain function is one of whole tensors, without options."""
    return getattr(part, "spec", Spec("tensors"))


def column(members: Members, name: str) -> NDArray[np.float64]:
    """One option of all members, as an array."""
    return np.array([m[name] for m in members], np.float64)


@dataclass(frozen=True)
class Context:
    """Read-only surroundings of a tensor, for parts that need more than values.

    Attributes:
        name: of the tensor.
        shape: of the whole tensor.
        members: the members' own options.
        layer: its position in depth; None outside the layers.
        layers: how many there are.
        before: of a tensor outside the layers, whether it is used before them.
        base: the same chunk of the base, or None.
        beside: by word, one tensor a member (None where its statistics lack it): the same chunk, or whole where its shape is another.
        headers: by word, the texts in the headers of those statistics, one mapping a member.
        states: what the merges that made the members left, one mapping a member.
        seen: what the rounds found.
        seed: of the recipe.

    >>> Context("model.norm.weight", (4,)).layer is None
    True
    """

    name: str
    shape: tuple[int, ...]
    members: tuple[Mapping[str, Any], ...] = ()
    layer: int | None = None
    layers: int | None = None
    before: bool = False
    base: Any = None
    beside: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    headers: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    states: tuple[Mapping[str, Any], ...] = ()
    seen: tuple[Any, ...] = ()
    seed: int = 0

    def weights(self, count: int) -> list[float]:
        """The coefficients of so many members, 1 for those without one.

        >>> Context("w", (), ({"weight": 0.5}, {})).weights(2), Context("w", ()).weights(2)
        ([0.5, 1.0], [1.0, 1.0])
        """
        return [float(member.get("weight", 1.0)) for member in self.members] or [1.0] * count
