"""Exact order statistics of magnitudes, from histograms over bit patterns that add up over spans.

The pattern with descending rank r is bracketed by a small sample, then one pass counts what lies above the bracket and in fine
bins within it, and collects what lies within. Usually that is little and holds the answer. Where much is equal and the room does
not do, a bin that holds a single pattern is the answer, or else the next bracket. It is exact whatever the sample was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipes.plan import TensorPlan
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


@dataclass
class Edge:
    """The entry of descending rank `rank` (from 1) of one input; input = number of inputs stands for their variance.

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


def find(bench: Workbench, plan: TensorPlan, edges: list[Edge], counted: bool) -> Generator[list[Task], list[Any], None]:
    """Stages that settle every edge; counted: also count each edge's non-zero entries first."""
    if not edges:
        return
    for edge, (lo, width) in zip(edges, (yield [lambda own: _brackets(bench, plan, own, edges)])[0], strict=True):
        edge.lo, edge.width = lo, width
    parts = spans(plan.count)
    first = counted
    while open_edges := [e for e in edges if e.pattern < 0]:
        queries = np.zeros(len(open_edges) + first, QUERY)
        for query, edge in zip(queries, open_edges, strict=False):
            query["input"], query["lo"], query["width"], query["shift"] = edge.input, edge.lo, edge.width, edge.shift
        if first:  # a histogram of zeros alone
            queries[-1]["input"], queries[-1]["width"] = open_edges[0].input, 1
        with_energy = open_edges[0].with_energy
        results = yield [_counting(bench, plan, start, stop, queries, with_energy) for start, stop in parts]
        for i, edge in enumerate(open_edges):
            if first:
                edge.nonzero = sum(int(r.outside[-1, 1]) for r, _ in results)
            _settle(edge, i, [r for r, _ in results], [kept[i] for _, kept in results], plan)
            if edge.with_energy:
                edge.energy, edge.with_energy = _energy(edge, [r for r, _ in results]), False
        first = False


def _counting(bench: Workbench, plan: TensorPlan, start: int, stop: int, queries: NDArray[Any], with_energy: bool) -> Task:
    def task(own: Scratch) -> tuple[Histogram, list[NDArray[Any]]]:
        pattern, real = (np.uint64, np.float64) if plan.wide else (np.uint32, np.float32)
        room, n = (stop - start) // _ROOM + BLOCK, len(plan.inputs)
        width = np.dtype(pattern).itemsize
        collected = own.take("collected", len(queries) * room * width).view(pattern).reshape(len(queries), room)
        into = Histogram.empty(len(queries), collected)
        if with_energy:
            into = into._replace(energy=np.zeros(n), values=own.take("values", room * n * width).view(real).reshape(room, n))
        for at, count in bench.chunks(start, stop):
            bench.check(plan, bench.kernels.histogram(bench.read(own, plan, at, count), queries, into))
        kept = [np.sort(c[:h]) if h <= len(c) else c[:0] for c, h in zip(into.collected, into.held, strict=True)]
        held = int(into.held[0])
        if into.values is None or held > room:
            return into._replace(collected=collected[:, :0], energy=None, values=None), kept
        return into._replace(collected=collected[:1, :held].copy(), values=into.values[:held].copy()), kept

    return task


def _energy(edge: Edge, results: list[Histogram]) -> NDArray[np.float64] | None:
    """Sums of the squares above the edge of the variance: those above the bracket, and those within it that rank higher."""
    if edge.pattern < 0:
        return None
    sums: Any = 0
    for span, result in enumerate(results):
        if result.energy is None or result.values is None:
            return None
        patterns, edge_pattern = result.collected[0], edge.pattern - edge.lo
        above = patterns > edge_pattern
        above[np.flatnonzero(patterns == edge_pattern)[: edge.in_span(span)[0]]] = True
        sums = sums + (result.energy + (result.values[above].astype(np.float64) ** 2).sum(0))
    return np.asarray(sums)


def _settle(edge: Edge, i: int, results: list[Histogram], kept: list[NDArray[Any]], plan: TensorPlan) -> None:
    """Settle the edge from what the spans counted, or give it the next bracket."""
    rank = edge.rank(edge.nonzero if edge.nonzero is not None else plan.count)
    above = sum(int(r.outside[i, 1]) for r in results)
    if rank <= 0:
        edge.pattern, edge.quota, edge.equal, edge.with_energy = pattern_space(plan), 0, [0] * len(results), False
    elif rank <= above:
        edge.lo, edge.width = edge.lo + edge.width, pattern_space(plan) - edge.lo - edge.width
    elif rank > plan.count - sum(int(r.outside[i, 0]) for r in results):
        edge.lo, edge.width = 0, edge.lo
    elif all(int(r.held[i]) == len(k) for r, k in zip(results, kept, strict=True)):
        value = _of_rank(kept, rank - above, edge.width)
        ends = [int(np.searchsorted(k, value, side="right")) for k in kept]
        edge.pattern = edge.lo + value
        edge.quota = rank - above - sum(len(k) - e for k, e in zip(kept, ends, strict=True))
        edge.equal = [e - int(np.searchsorted(k, value)) for k, e in zip(kept, ends, strict=True)]
    else:
        _settle_by_bins(edge, rank - above, [_bins(r, i, k, edge.shift) for r, k in zip(results, kept, strict=True)])


def _settle_by_bins(edge: Edge, rank: int, bins: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]) -> None:
    """The bin that holds the rank is the answer when it holds one pattern, else the next bracket."""
    counts: NDArray[np.int64] = np.stack([c for c, _, _ in bins]).sum(0, dtype=np.int64)
    reach = counts[::-1].cumsum()
    j = BINS - 1 - int(np.searchsorted(reach, rank))
    least, most = min(int(low[j]) for _, low, _ in bins), max(int(high[j]) for _, _, high in bins) - 1
    if least < most:
        edge.lo, edge.width = edge.lo + least, most - least + 1
        return
    edge.pattern = edge.lo + least
    edge.quota = rank - int(reach[BINS - 1 - j] - counts[j])
    edge.equal = [int(c[j]) for c, _, _ in bins]


def _bins(result: Histogram, i: int, kept: NDArray[Any], shift: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Counts, least and most of each bin, for a span that filled bins or for one whose sorted patterns are at hand."""
    counts, least, most = result.counts[i], result.least[i], result.most[i]
    if int(result.held[i]) == len(kept):
        bin_of = (kept >> kept.dtype.type(shift)).astype(np.int64)
        counts = np.bincount(bin_of, minlength=BINS)
        least[bin_of[::-1]] = kept[::-1]  # of several for one bin the last one stands
        most[bin_of] = kept.astype(np.uint64) + np.uint64(1)
    return counts, least, most


def _of_rank(runs: list[NDArray[Any]], rank: int, width: int) -> int:
    """The value of descending rank `rank` in several sorted runs: the largest that so many reach, by bisection."""
    low, high = 0, width
    while high - low > 1:
        middle = (low + high) // 2
        reached = sum(len(run) - int(np.searchsorted(run, run.dtype.type(middle))) for run in runs)
        low, high = (middle, high) if reached >= rank else (low, middle)
    return low


def _brackets(bench: Workbench, plan: TensorPlan, own: Scratch, edges: list[Edge]) -> list[tuple[int, int]]:
    """A likely bracket for each edge, from stretches spread evenly over the tensor."""
    total = plan.count
    starts = range(0, total, BLOCK) if total <= 2 * _STRETCHES * BLOCK else np.linspace(0, total - BLOCK, _STRETCHES).astype(int).tolist()
    chunks = [(at, min(BLOCK, total - at)) for at in starts]
    values = differences(bench, plan, bench.read_pieces(own, plan, chunks))
    size = values.shape[1]
    exact = size == total
    found = []
    for edge in edges:
        with np.errstate(invalid="ignore"):  # NaN that the user allowed
            magnitudes = values.var(axis=0) if edge.input == len(values) else np.abs(values[edge.input])
        patterns = np.sort(magnitudes)[::-1]
        bits = patterns.view(np.uint32 if patterns.dtype == np.float32 else np.uint64)
        rank = edge.rank(round(int(np.count_nonzero(patterns)) / size * total)) / total * size
        spread = 0 if exact else _MARGIN * np.sqrt(max(rank * (1 - min(rank / size, 1)), 0)) + 2
        high, low = int(np.floor(rank - 1 - spread)), int(np.ceil(rank - 1 + spread))
        top = int(bits[high]) if high >= 0 else pattern_space(plan) - 1
        bottom = int(bits[low]) if low < size else 0
        found.append((bottom, top - bottom + 1))
    return found


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
