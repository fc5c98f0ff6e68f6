"""Exact order statistics of magnitudes, from histograms over bit patterns that add up over spans.

The pattern with descending rank r is bracketed by a small sample, then one pass counts what lies above the bracket and in fine
bins within it. A bin that holds a single pattern, as is usual for bfloat16 inputs, is the answer; otherwise the bin becomes the
next bracket. The answer is exact whatever the sample was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipes.plan import TensorPlan
from .kernels import BINS, BLOCK, QUERY, Chunk, Histogram
from .scheduler import Task
from .workbench import Scratch, Workbench, spans

_STRETCHES = 16
_MARGIN = 4.5
"""Standard deviations of the sample's quantile on both sides of the bracket."""


def pattern_space(plan: TensorPlan) -> int:
    """One more than the largest bit pattern of a magnitude in the working type."""
    return 1 << 63 if plan.wide else 1 << 31


@dataclass
class Edge:
    """The entry of descending rank `rank` (from 1) of one input; input = number of inputs stands for their variance.

    rank may depend on the number of non-zero entries. Found: pattern, how many entries equal to it rank above the edge (quota),
    and how many equal entries each span has.
    """

    input: int
    rank: Callable[[int], int]
    lo: int = 0
    width: int = 0
    nonzero: int | None = None
    pattern: int | None = None
    quota: int = 0
    equal: list[int] = field(default_factory=list)

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
    while open_edges := [e for e in edges if e.pattern is None]:
        queries = np.zeros(len(open_edges) + first, QUERY)
        for query, edge in zip(queries, open_edges, strict=False):
            query["input"], query["lo"], query["width"], query["shift"] = edge.input, edge.lo, edge.width, edge.shift
        if first:  # a histogram of zeros alone
            queries[-1]["input"], queries[-1]["width"] = open_edges[0].input, 1
        results = yield [_counting(bench, plan, start, stop, queries) for start, stop in parts]
        for i, edge in enumerate(open_edges):
            if first:
                edge.nonzero = plan.count - sum(int(r.counts[-1, 0]) for r in results)
            _settle(edge, i, results, plan)
        first = False


def _counting(bench: Workbench, plan: TensorPlan, start: int, stop: int, queries: NDArray[Any]) -> Task:
    def task(own: Scratch) -> Histogram:
        n = len(queries)
        into = Histogram(
            np.zeros((n, 2), np.uint64), np.zeros((n, BINS), np.uint32), np.full((n, BINS), 1 << 63, np.uint64), np.zeros((n, BINS), np.uint64)
        )
        for at, count in bench.chunks(start, stop):
            bench.check(plan, bench.kernels.histogram(bench.read(own, plan, at, count), queries, into))
        return into

    return task


def _settle(edge: Edge, i: int, results: list[Histogram], plan: TensorPlan) -> None:
    """Settle the edge from the summed histograms, or give it the next bracket."""
    rank = edge.rank(edge.nonzero if edge.nonzero is not None else plan.count)
    if rank <= 0:
        edge.pattern, edge.quota, edge.equal = pattern_space(plan), 0, [0] * len(results)
        return
    counts = np.sum([r.counts[i] for r in results], axis=0, dtype=np.int64)
    above = sum(int(r.outside[i, 1]) for r in results)
    if rank <= above:
        edge.lo, edge.width = edge.lo + edge.width, pattern_space(plan) - edge.lo - edge.width
        return
    reach = above + counts[::-1].cumsum()
    if rank > reach[-1]:
        edge.lo, edge.width = 0, edge.lo
        return
    j = BINS - 1 - int(np.searchsorted(reach, rank))
    least = min(int(r.least[i, j]) for r in results)
    most = max(int(r.most[i, j]) for r in results) - 1
    if least == most:
        edge.pattern = edge.lo + least
        edge.quota = rank - int(reach[BINS - 1 - j] - counts[j])
        edge.equal = [int(r.counts[i, j]) for r in results]
    else:
        edge.lo, edge.width = edge.lo + least, most - least + 1


def _brackets(bench: Workbench, plan: TensorPlan, own: Scratch, edges: list[Edge]) -> list[tuple[int, int]]:
    """A likely bracket for each edge, from stretches spread evenly over the tensor."""
    total = plan.count
    starts = range(0, total, BLOCK) if total <= 2 * _STRETCHES * BLOCK else np.linspace(0, total - BLOCK, _STRETCHES).astype(int).tolist()
    chunks = [(at, min(BLOCK, total - at)) for at in starts]
    values = np.concatenate([magnitudes(bench, plan, own, at, count) for at, count in chunks], axis=1)
    size = values.shape[1]
    exact = size == total
    found = []
    for edge in edges:
        patterns = np.sort(values[edge.input])[::-1]
        bits = patterns.view(np.uint32 if patterns.dtype == np.float32 else np.uint64)
        rank = edge.rank(round(int(np.count_nonzero(patterns)) / size * total)) / total * size
        spread = 0 if exact else _MARGIN * np.sqrt(max(rank * (1 - min(rank / size, 1)), 0)) + 2
        high, low = int(np.floor(rank - 1 - spread)), int(np.ceil(rank - 1 + spread))
        top = int(bits[high]) if high >= 0 else pattern_space(plan) - 1
        bottom = int(bits[low]) if low < size else 0
        found.append((bottom, top - bottom + 1))
    return found


def magnitudes(bench: Workbench, plan: TensorPlan, own: Scratch, start: int, count: int) -> NDArray[Any]:
    """(inputs + 1, count): magnitudes of each difference, and the variance over the inputs."""
    chunk = bench.read(own, plan, start, count)
    values = differences(bench, chunk)
    return np.concatenate([np.abs(values), values.var(axis=0, keepdims=True)])


def differences(bench: Workbench, chunk: Chunk) -> NDArray[Any]:
    """(inputs, count): every input minus the base when there is one, in the working type."""
    out = np.empty((len(chunk.data), chunk.count), np.float64 if chunk.wide else np.float32)
    for i, (data, dtype) in enumerate(zip(chunk.data, chunk.dtypes, strict=True)):
        one = chunk._replace(data=[data], dtypes=[dtype])
        if out.dtype == np.float64 and not one.wide:
            wide = np.empty(chunk.count, np.float32)
            bench.kernels.sum(one, np.ones(1), wide.view(np.uint8), "F32", add_base=False)
            out[i] = wide
        else:
            bench.kernels.sum(one, np.ones(1), out[i].view(np.uint8), "F64" if chunk.wide else "F32", add_base=False)
    return out
