"""Exact order statistics of magnitudes and of formulas' results, from histograms over bit patterns that add up over spans.

The pattern with descending rank r is bracketed by a small sample, then one pass counts what lies above the bracket and in fine
bins within it, and collects what lies within. Usually there is room for that, and the bin that holds the rank is sorted. Where much is
equal and the room does not do, a bin that holds a single pattern is the answer, or else the next bracket. It is exact whatever the
sample was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.dtypes import Bytes
from ..recipes.planning.plan import TensorPlan
from ..weights.formula import Formula
from .kernels import BINS, BLOCK, OUTPUT_BIT, QUERY, Chunk, Histogram
from .scheduler import Task
from .workbench import Scratch, Workbench, spans

_STRETCHES = 24
_ROOM = 10
"""One in so many entries is collected at most."""
_MARGIN = 3.5
"""Standard deviations of the sample's quantile on both sides of the bracket."""


def pattern_space(plan: TensorPlan) -> int:
    """One more than the largest bit pattern of a magnitude in the working type."""
    return 1 << 63 if plan.wide else 1 << 31


_KEYS = 0xFFFFFFFF
"""More than any key of a formula's result."""


@dataclass
class Edge:
    """The entry of descending rank `rank` (from 1) of one input; input = number of inputs stands for their variance, those after it for
    the results of a formula.

    rank may depend on the number of non-zero entries. Found: pattern (-1 until then), how many entries equal to it rank above the edge
    (quota), and how many equal entries each span has.
    """

    input: int
    rank: Callable[[int], int]
    lo: int = 0
    width: int = 0
    nonzero: int | None = None
    pattern: int = -1
    quota: int = 0
    equal: list[int] = field(default_factory=list)
    with_energy: bool = False
    energy: NDArray[np.float64] | None = None
    """(inputs,) sums of the squares at the places above the edge, for the variance's edge when one pass was enough to tell."""

    @property
    def shift(self) -> int:
        return max(0, (self.width - 1).bit_length() - (BINS - 1).bit_length())

    def in_span(self, index: int) -> tuple[int, int]:
        """How many of the span's equal entries rank above the edge, and how many it has."""
        here = self.equal[index]
        return min(max(self.quota - sum(self.equal[:index]), 0), here), here


def find(
    bench: Workbench,
    plan: TensorPlan,
    edges: list[Edge],
    *,
    counted: bool = False,
    formula: Formula | None = None,
    reached: list[Bytes] | None = None,
) -> Generator[list[Task], list[Any], None]:
    """Stages that settle every edge, all of the formula's results when there is one; counted: also count the non-zero entries first.

    reached: takes bits for each span, of the entries where a result may reach its first edge; stays empty where that is not known.
    """
    if not edges:
        return
    space = pattern_space(plan) if formula is None else _KEYS
    for edge, (lo, width) in zip(edges, (yield [lambda own: _brackets(bench, plan, own, edges, space, formula)])[0], strict=True):
        edge.lo, edge.width = lo, width
    parts = spans(plan.count)
    first = counted
    floor = {edge.input: (edge, edge.lo) for edge in reversed(edges)}
    least = None if reached is None else np.array([lo for _, (_, lo) in sorted(floor.items())], np.uint32)
    bits: list[Bytes] = []
    while open_edges := [e for e in edges if e.pattern < 0]:
        queries = np.zeros(len(open_edges) + first, QUERY)
        for query, edge in zip(queries, open_edges, strict=False):
            query["input"], query["lo"], query["width"], query["shift"] = edge.input, edge.lo, edge.width, edge.shift
        if first:  # a histogram of zeros alone
            queries[-1]["input"], queries[-1]["width"] = open_edges[0].input, 1
        with_energy = open_edges[0].with_energy
        results: list[_Counted] = yield [_counting(bench, plan, start, stop, queries, with_energy, formula, least) for start, stop in parts]
        bits, least = bits or [r.reached for r in results if r.reached is not None], None
        for i, edge in enumerate(open_edges):
            if first:
                edge.nonzero = sum(r.brackets[-1].above for r in results)
            _settle(edge, [r.brackets[i] for r in results], plan.count, space)
            if edge.with_energy:
                edge.energy, edge.with_energy = _energy(edge, results), False
        first = False
    if reached is not None and all(edge.pattern >= lo for edge, lo in floor.values()):
        reached.extend(bits)


class _Bracket(NamedTuple):
    """What one span holds of one bracket: see Histogram. patterns: those within, relative to lo, or None where they were too many."""

    below: int
    above: int
    counts: NDArray[np.uint32]
    least: NDArray[np.uint64]
    most: NDArray[np.uint64]
    patterns: NDArray[Any] | None


class _Counted(NamedTuple):
    """What one pass over a span found. energy, values: see Histogram; None without, or where the values within were too many."""

    brackets: list[_Bracket]
    energy: NDArray[np.float64] | None
    values: NDArray[Any] | None
    reached: Bytes | None = None


def value_of(key: int) -> float:
    """The value of a formula's result that has this key."""
    bits = key ^ (0x80000000 if key >> 31 else 0xFFFFFFFF)
    return float(np.array(bits, np.uint32).view(np.float32))


def _counting(
    bench: Workbench,
    plan: TensorPlan,
    start: int,
    stop: int,
    queries: NDArray[Any],
    with_energy: bool,
    formula: Formula | None,
    least: NDArray[np.uint32] | None,
) -> Task:
    def task(own: Scratch) -> _Counted:
        pattern, real = (np.uint64, np.float64) if plan.wide else (np.uint32, np.float32)
        room, n = (stop - start) // _ROOM + BLOCK, len(plan.inputs)
        width = np.dtype(pattern).itemsize
        into = Histogram.empty(len(queries), own.take("collected", len(queries) * room * width).view(pattern).reshape(len(queries), room))
        if with_energy:
            into = into._replace(energy=np.zeros(n), values=own.take("values", room * n * width).view(real).reshape(room, n))
        if least is not None:
            into = into._replace(least_keys=least, reached=np.zeros((stop - start + 7) // 8, np.uint8), start=start)
        for chunk in bench.stream(own, plan, start, stop):
            bench.check(plan, bench.kernels.histogram(chunk, queries, into, formula))
        patterns = [row[:held].copy() if held <= room else None for row, held in zip(into.collected, into.held.tolist(), strict=True)]
        outside = into.outside.tolist()
        brackets = [_Bracket(*o, *rest) for o, *rest in zip(outside, into.counts, into.least, into.most, patterns, strict=True)]
        if into.values is None or patterns[0] is None:
            return _Counted(brackets, None, None, into.reached)
        return _Counted(brackets, into.energy, into.values[: len(patterns[0])].copy())

    return task


def _energy(edge: Edge, results: list[_Counted]) -> NDArray[np.float64] | None:
    """Sums of the squares above the edge of the variance: those above the bracket, and those within it that rank higher."""
    if edge.pattern < 0:
        return None
    sums: Any = 0
    for span, result in enumerate(results):
        patterns, edge_pattern = result.brackets[0].patterns, edge.pattern - edge.lo
        if result.values is None or patterns is None:
            return None
        above = patterns > edge_pattern
        above[np.flatnonzero(patterns == edge_pattern)[: edge.in_span(span)[0]]] = True
        sums = sums + (result.energy + (result.values[above].astype(np.float64) ** 2).sum(0))
    return np.asarray(sums)


def _settle(edge: Edge, found: list[_Bracket], count: int, space: int) -> None:
    """Settle the edge from what the spans counted of `count` entries, or give it the next bracket."""
    rank = edge.rank(edge.nonzero if edge.nonzero is not None else count)
    above = sum(f.above for f in found)
    if rank <= 0:
        edge.pattern, edge.quota, edge.equal, edge.with_energy = space, 0, [0] * len(found), False
    elif rank <= above:
        edge.lo, edge.width = edge.lo + edge.width, space - edge.lo - edge.width
    elif rank > count - sum(f.below for f in found):
        edge.lo, edge.width = 0, edge.lo
    else:
        _settle_within(edge, rank - above, found)


def _settle_within(edge: Edge, rank: int, found: list[_Bracket]) -> None:
    """The answer is in one bin: its only pattern, or the one of the rank where all are at hand; else the bin is the next bracket."""
    counts: NDArray[np.int64] = np.stack([f.counts for f in found]).sum(0, dtype=np.int64)
    reach = counts[::-1].cumsum()[::-1]
    j = int(np.flatnonzero(reach >= rank)[-1])
    rank -= int(reach[j] - counts[j])
    least, most = min(int(f.least[j]) for f in found), max(int(f.most[j]) for f in found) - 1
    if least == most:
        edge.pattern, edge.quota, edge.equal = edge.lo + least, rank, [int(f.counts[j]) for f in found]
        return
    held = [f.patterns for f in found if f.patterns is not None]
    if len(held) < len(found):
        edge.lo, edge.width = edge.lo + least, most - least + 1
        return
    in_bin = [patterns[patterns >> patterns.dtype.type(edge.shift) == j] for patterns in held]
    ranked = np.sort(np.concatenate(in_bin))[::-1]
    value = int(ranked[rank - 1])
    edge.pattern = edge.lo + value
    edge.quota = rank - int(np.count_nonzero(ranked > value))
    edge.equal = [int(np.count_nonzero(patterns == value)) for patterns in in_bin]


def _brackets(
    bench: Workbench, plan: TensorPlan, own: Scratch, edges: list[Edge], space: int, formula: Formula | None
) -> list[tuple[int, int]]:
    """A likely bracket for each edge, from stretches spread evenly over the tensor."""
    total = plan.count
    starts = range(0, total, BLOCK) if total <= 2 * _STRETCHES * BLOCK else np.linspace(0, total - BLOCK, _STRETCHES).astype(int).tolist()
    pieces = [(at, min(BLOCK, total - at)) for at in starts]
    chunk = bench.read_pieces(own, plan, pieces)
    size = chunk.count
    sample = _keys(bench, plan, chunk, pieces, formula) if formula is not None else _magnitudes(bench, plan, chunk)
    ordered = {edge.input: np.sort(sample(edge.input))[::-1] for edge in edges}
    found = []
    for edge in edges:
        bits = ordered[edge.input]
        rank = edge.rank(round(int(np.count_nonzero(bits)) / size * total)) / total * size
        spread = 0 if size == total else _MARGIN * np.sqrt(max(rank * (1 - min(rank / size, 1)), 0)) + 2
        high, low = int(np.floor(rank - 1 - spread)), int(np.ceil(rank - 1 + spread))
        top = int(bits[high]) if high >= 0 else space - 1
        bottom = int(bits[low]) if low < size else 0
        found.append((bottom, top - bottom + 1))
    return found


def _magnitudes(bench: Workbench, plan: TensorPlan, chunk: Chunk) -> Callable[[int], NDArray[Any]]:
    """The bit patterns of an input's magnitudes, or of the variance."""
    values = differences(bench, plan, chunk)

    def patterns(which: int) -> NDArray[Any]:
        with np.errstate(invalid="ignore"):  # NaN that the user allowed
            magnitudes: NDArray[Any] = values.var(axis=0) if which == len(values) else np.abs(values[which])
        return magnitudes.view(np.uint32 if magnitudes.dtype == np.float32 else np.uint64)

    return patterns


def _keys(
    bench: Workbench, plan: TensorPlan, chunk: Chunk, pieces: list[tuple[int, int]], formula: Formula
) -> Callable[[int], NDArray[Any]]:
    """The keys of a formula's result in the pieces that make a chunk."""
    if formula.rows is not None:
        places = np.concatenate([np.arange(at, at + count) for at, count in pieces])
        formula = replace(formula, rows=formula.rows[places // formula.row], row=1)
    whole = replace(chunk, start=0)

    def keys(which: int) -> NDArray[Any]:
        values = np.empty(chunk.count, np.float32)
        alone = formula.alone(which - len(chunk.data) - 1)
        flags = bench.kernels.formula(whole, alone, values.view(np.uint8), "F32", add_base=False)
        bench.check(plan, flags & ~OUTPUT_BIT)
        bits: NDArray[np.uint32] = (values + np.float32(0)).view(np.uint32)
        found: NDArray[Any] = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
        return found

    return keys


def differences(bench: Workbench, plan: TensorPlan, chunk: Chunk) -> NDArray[Any]:
    """(inputs, count): every input minus the base when there is one, in the working type, checked."""
    out = np.empty((len(chunk.data), chunk.count), np.float64 if chunk.wide else np.float32)
    for i, (data, dtype) in enumerate(zip(chunk.data, chunk.dtypes, strict=True)):
        one = replace(chunk, data=[data], dtypes=[dtype])
        if chunk.wide and not one.wide:
            narrow = np.empty(chunk.count, np.float32)
            flags = bench.kernels.sum(one, np.ones(1), narrow.view(np.uint8), "F32", add_base=False)
            out[i] = narrow
        else:
            flags = bench.kernels.sum(one, np.ones(1), out[i].view(np.uint8), "F64" if chunk.wide else "F32", add_base=False)
        bench.check(plan, flags & ~OUTPUT_BIT, only=(i,))
    return out
