"""Formulas, entry by entry: the functions that a part may use, on tensors, or on symbols that note down what is asked of them.

A part of the kind `formula` is a plain function of its deltas. Called with torch tensors it computes. Called with symbols it notes down
its steps, and the kernels carry these out over blocks that stay in the first-level cache: one text for each formula, no second copy.
Besides + - * / and abs, comparisons give 1 where they hold and 0 elsewhere; Python's own `if` cannot ask a symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .part import spec_of

OPERANDS = {
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum", "greater", "at_least"), 2),
    "where": 3,
    **dict.fromkeys(("abs", "sign", "floor", "exp", "tanh", "rounded"), 1),
}
OPERATIONS = tuple(OPERANDS)
"""Their place is their number in the kernels (formulas.h)."""
STEP = np.dtype([("operation", "i4"), ("out", "i4"), ("a", "i4"), ("b", "i4"), ("c", "i4")])


@dataclass(frozen=True)
class Formula:
    """The steps of a traced part. Registers are the inputs, the base, the row's value, the constants and then `temporaries` more.

    results: the registers that hold the values in the end. wide: computed in float64 whatever the inputs are. rows: a value for each
    `row` entries, where the part asks for it.
    """

    steps: NDArray[Any]
    constants: NDArray[np.float64]
    temporaries: int
    results: NDArray[np.int32]
    wide: bool = False
    rows: NDArray[np.float64] | None = None
    row: int = 1

    def alone(self, result: int) -> Formula:
        """The same with one of its results."""
        return replace(self, results=self.results[result : result + 1])


@dataclass(frozen=True)
class Symbol:
    """A value at each entry of a tensor that is not at hand yet."""

    trace: _Trace
    number: int

    def __add__(self, other: Any) -> Symbol:
        return self.trace.step("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self.trace.step("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self.trace.step("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self.trace.step("subtract", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self.trace.step("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self.trace.step("multiply", other, self)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self.trace.step("divide", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self.trace.step("divide", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return self.trace.step("greater", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return self.trace.step("at_least", self, other)

    def __lt__(self, other: Any) -> Symbol:
        return self.trace.step("greater", other, self)

    def __le__(self, other: Any) -> Symbol:
        return self.trace.step("at_least", other, self)

    def __abs__(self) -> Symbol:
        return self.trace.step("abs", self)

    def __bool__(self) -> bool:
        raise TypeError("a formula cannot branch on values that differ from entry to entry; use where(condition, one, other)")


def where(condition: Any, one: Any, other: Any) -> Any:
    """`one` where the condition holds, `other` elsewhere."""
    return _apply("where", condition, one, other)


def maximum(one: Any, other: Any) -> Any:
    """The larger of two."""
    return _apply("maximum", one, other)


def minimum(one: Any, other: Any) -> Any:
    """The smaller of two."""
    return _apply("minimum", one, other)


def clamp(value: Any, low: Any, high: Any) -> Any:
    """The value, or the bound that it lies beyond."""
    return minimum(maximum(value, low), high)


def sign(value: Any) -> Any:
    """-1, 0 or 1."""
    return _apply("sign", value)


def floor(value: Any) -> Any:
    """The next whole number below."""
    return _apply("floor", value)


def exp(value: Any) -> Any:
    """e to the value."""
    return _apply("exp", value)


def tanh(value: Any) -> Any:
    """The hyperbolic tangent."""
    return _apply("tanh", value)


def rounded(value: Any) -> Any:
    """The value as float32 holds it."""
    return _apply("rounded", value)


def traced(write: Callable[[list[Symbol], Symbol, Symbol], Sequence[Any]], inputs: int, *, wide: bool = False) -> Formula:
    """What `write(deltas, base, row_value)` asks of its symbols.

    >>> traced(lambda deltas, base, row_value: [deltas[0] + 2 * deltas[1]], 2).steps["operation"].tolist()  # a product, then a sum
    [2, 0]
    """
    trace = _Trace(inputs)
    leaves = [Symbol(trace, i) for i in range(inputs + 2)]
    results = [trace.symbol(value).number for value in write(leaves[:inputs], leaves[inputs], leaves[inputs + 1])]
    return trace.compiled(results, wide)


def _apply(operation: str, *values: Any) -> Any:
    """The operation, noted down where a value is a symbol, else done by torch."""
    for value in values:
        if isinstance(value, Symbol):
            return value.trace.step(operation, *values)
    import torch

    like = next((value for value in values if isinstance(value, torch.Tensor) and value.is_floating_point()), torch.ones(()))
    rest = [value if isinstance(value, torch.Tensor) else like.new_tensor(value) for value in values]
    if operation == "where":
        rest[0] = rest[0] != 0
    return rest[0].to(torch.float32).to(rest[0].dtype) if operation == "rounded" else getattr(torch, operation)(*rest)


def whole(part: Callable[..., Any], deltas: Any, context: Any, **options: Any) -> Any:
    """The context with all of a formula's rounds run on a tensor at hand, (members, ...): the slow way, for a look and for tests."""
    import torch

    for measure in spec_of(part).rounds:
        found = measure.measure(deltas, context, **options)
        if measure.kind == "ranked":
            ordered = [value.to(torch.float32).flatten().sort().values for value in found[0]]
            found = np.array([[float(values[rank]) for rank in own] for values, own in zip(ordered, found[1], strict=True)])
        elif measure.kind == "sums":
            found = np.array([float(value.sum()) for value in found])
        context = replace(context, seen=(*context.seen, found))
    return context


class _Trace:
    """Values by number: the leaves first, then constants and steps as they come; what was asked before is not asked again."""

    def __init__(self, inputs: int) -> None:
        self.leaves = inputs + 2
        self.known: list[tuple[Any, ...]] = [()] * self.leaves
        self.numbers: dict[tuple[Any, ...], int] = {}

    def symbol(self, value: Any) -> Symbol:
        """A value as a symbol; numbers become constants."""
        return value if isinstance(value, Symbol) else self._noted(("constant", float(value)))

    def step(self, operation: str, *values: Any) -> Symbol:
        return self._noted((operation, *(self.symbol(value).number for value in values)))

    def _noted(self, what: tuple[Any, ...]) -> Symbol:
        if what not in self.numbers:
            self.numbers[what] = len(self.known)
            self.known.append(what)
        return Symbol(self, self.numbers[what])

    def compiled(self, results: list[int], wide: bool) -> Formula:
        """Steps that a result needs, on as few registers as their order allows."""
        last = {number: len(self.known) for number in results}
        for number in range(len(self.known) - 1, self.leaves - 1, -1):  # what is used behind `number` is known by now
            if number in last and self.known[number][0] != "constant":
                for used in self.known[number][1:]:
                    last.setdefault(used, number)
        needed = [number for number in sorted(last) if number >= self.leaves]
        constants = [number for number in needed if self.known[number][0] == "constant"]
        place = {number: self.leaves + i for i, number in enumerate(constants)} | {leaf: leaf for leaf in range(self.leaves)}
        first, used, free, steps = self.leaves + len(constants), 0, list[int](), []
        for number in needed:
            if number in place:
                continue
            operation, *operands = self.known[number]
            if not free:
                free.append(first + used)
                used += 1
            place[number] = free.pop()
            a, b, c = (*(place[operand] for operand in operands), 0, 0)[:3]
            steps.append((OPERATIONS.index(operation), place[number], a, b, c))
            free += [place[o] for o in set(operands) if last[o] == number and place[o] >= first]
        values = np.array([self.known[number][1] for number in constants], np.float64)
        return Formula(np.array(steps, STEP), values, used, np.array([place[r] for r in results], np.int32), wide)
