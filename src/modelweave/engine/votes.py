"""Jobs that select entries of each delta and mix what is left: task arithmetic, TIES, DARE, Breadcrumbs, DELLA, SCE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.tensors import Bytes
from ..recipes.plan import TensorPlan
from ..weights.part import Chance, Mix, Ranks, spec_of
from .kernels import KEEP_BITS, KEEP_CHANCE, KEEP_WINDOW, SELECTION, Chunk, Mixing
from .order_statistics import Edge, find, pattern_space
from .scheduler import Stages, Task
from .workbench import Scratch, Workbench, options_of, row_length, spans, total

Records = NDArray[Any]


@dataclass
class _Window:
    """Ranks of one input between two edges; an edge that is None is open."""

    upper: Edge | None
    lower: Edge | None

    def record(self, record: Any, span: int, space: int) -> None:
        """Write the bounds for one span: whole patterns, and quotas where the span's equal entries are split."""
        record["kind"], record["lo"], record["hi"] = KEEP_WINDOW, 0, space
        if self.lower is not None:
            kept, equal = self.lower.in_span(span)
            pattern = self.lower.pattern
            record["lo"] = pattern if kept == equal else pattern + 1
            if 0 < kept < equal:
                record["lo_value"], record["lo_quota"] = pattern, kept
        if self.upper is not None:
            dropped, equal = self.upper.in_span(span)
            pattern = self.upper.pattern
            same = self.lower is not None and self.lower.pattern == pattern
            whole = dropped == equal and not same
            record["hi"] = pattern if whole else pattern + 1
            if dropped and not whole:
                record["hi_value"], record["hi_quota"] = pattern, dropped


@dataclass
class _Selections:
    """What is known of the selections of one tensor's members while a job runs."""

    records: Records
    windows: dict[int, _Window] = field(default_factory=dict)
    shared: _Window | None = None
    bits: dict[int, list[NDArray[np.uint8]]] = field(default_factory=dict)

    def for_span(self, span: int, start: int, space: int) -> tuple[Records, Records | None]:
        records = self.records.copy()
        for i, window in self.windows.items():
            window.record(records[i], span, space)
        for i, arrays in self.bits.items():
            records[i]["bits"], records[i]["bits_from"] = arrays[span].ctypes.data, start
        shared = None
        if self.shared is not None:
            shared = np.zeros(1, SELECTION)
            self.shared.record(shared[0], span, space)
        return records, shared


def vote_job(bench: Workbench, plan: TensorPlan) -> Stages:
    """Statistics of the selections, then one pass that mixes and writes."""
    assert plan.method is not None
    row = row_length(plan.shape)
    by_row = any(_needs_rows(plan, part) for part in plan.method.per_delta)
    parts = spans(plan.count, row if by_row else 1)
    chosen = _Selections(np.zeros(len(plan.inputs), SELECTION))
    chosen.records["factor"] = chosen.records["voice"] = chosen.records["weight"] = 1.0
    energy = spec_of(plan.method.combine).energy
    sums: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    for part in plan.method.per_delta:
        if spec_of(part).kind == "shared_selection":
            squares = yield from _share(bench, plan, part, chosen, energy)
        else:
            edges, chances = _choose(bench, plan, part, chosen)
            yield from find(bench, plan, edges, counted=False)
            if chances:
                sums = total((yield [_drawing(bench, plan, chosen, chances, row, i, *p) for i, p in enumerate(parts)]))
    rescale = bool(plan.shared.get("rescale") and plan.method.per_delta)
    if (energy and squares is None) or (rescale and sums is None):
        sums = total((yield [_summing(bench, plan, chosen, energy, i, *p) for i, p in enumerate(parts)]))
        squares = sums[:, 2] if energy else None
    if rescale and sums is not None:
        chosen.records["factor"] = _l1_factors(sums)
    mix = _mix(plan, None if squares is None else squares / max(plan.count, 1))
    if mix.voices:
        chosen.records["voice"] = mix.voices
    chosen.records["weight"] = mix.weights
    mixing = Mixing(mix.elect, mix.divide, mix.zero_sign, mix.floor, mix.divisor, float(plan.shared.get("scale", 1.0)), bench.add_base)
    yield [_mixing(bench, plan, chosen, mixing, i, *p) for i, p in enumerate(parts)]


def _mix(plan: TensorPlan, energy: NDArray[np.float64] | None) -> Mix:
    assert plan.method is not None
    extra = {} if energy is None else {"energy": energy}
    result: Mix = plan.method.combine(plan.per_input, **extra, **options_of(plan.method.combine, plan.shared))
    return result


def _needs_rows(plan: TensorPlan, part: Callable[..., Any]) -> bool:
    return any(isinstance(s, Chance) and s.low != s.high for s in _answers(plan, part))


def _answers(plan: TensorPlan, part: Callable[..., Any]) -> list[Ranks | Chance]:
    if spec_of(part).kind == "shared_selection":
        return []
    return [part(plan.count, **options_of(part, {**plan.shared, **member})) for member in plan.per_input]


def _choose(bench: Workbench, plan: TensorPlan, part: Callable[..., Any], chosen: _Selections) -> tuple[list[Edge], dict[int, Chance]]:
    """Translate each member's selection: edges to find, chances that hang on ranks, or settled records."""
    edges: list[Edge] = []
    chances: dict[int, Chance] = {}
    for i, answer in enumerate(_answers(plan, part)):
        record, member = chosen.records[i], plan.members[i] if plan.members else i
        if isinstance(answer, Ranks):
            chosen.windows[i] = _window(answer, i, plan.count)
            edges += [e for e in (chosen.windows[i].upper, chosen.windows[i].lower) if e is not None]
        elif answer.low < 1:
            record["key0"], record["key1"] = bench.keys(plan.name, member)
            if answer.low == answer.high:
                record["kind"], record["below"] = KEEP_CHANCE, round(answer.low * (1 << 24))
            else:
                record["kind"] = KEEP_BITS
                chances[i] = answer
    return edges, chances


def _window(ranks: Ranks, i: int, count: int) -> _Window:
    last = ranks.first + ranks.count
    upper = Edge(i, lambda _: ranks.first) if ranks.first > 0 else None
    lower = Edge(i, lambda _: last) if last < count or ranks.count == 0 else None
    if ranks.count == 0:  # nothing stays: an edge above everything
        return _Window(None, Edge(i, lambda _: 0))
    return _Window(upper, lower)


def _share(bench: Workbench, plan: TensorPlan, part: Callable[..., Any], chosen: _Selections, energy: bool) -> Any:
    """Find the edge of a selection by the variance over the members; returns the sums of squares that were found on the way."""
    options = options_of(part, plan.shared)
    if part(1, **options) is None:
        return None
    edge = Edge(len(plan.inputs), lambda nonzero: part(nonzero, **options).count, with_energy=energy)
    chosen.shared = _Window(None, edge)
    yield from find(bench, plan, [edge], counted=True)
    return edge.energy


def _drawing(
    bench: Workbench, plan: TensorPlan, chosen: _Selections, chances: dict[int, Chance], row: int, span: int, start: int, stop: int
) -> Task:
    for i in chances:
        chosen.bits.setdefault(i, []).append(np.zeros((stop - start + 7) // 8, np.uint8))

    def task(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros((len(plan.inputs), 3))
        for at, count in bench.chunks(start, stop, row):
            chunk = bench.read(own, plan, at, count)
            for i, chance in chances.items():
                keys = int(chosen.records[i]["key0"]), int(chosen.records[i]["key1"])
                bits = chosen.bits[i][span]
                bench.check(plan, bench.kernels.rank_chance(chunk, i, row, keys, chance.low, chance.high, bits, start, out[i]), only=(i,))
        return out

    return task


def _summing(bench: Workbench, plan: TensorPlan, chosen: _Selections, squares: bool, span: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros((len(plan.inputs), 3))
        records, shared = chosen.for_span(span, start, pattern_space(plan))
        for at, count in bench.chunks(start, stop):
            bench.check(plan, bench.kernels.selected_sums(bench.read(own, plan, at, count), records, shared, out, squares=squares))
        return out

    return task


def _mixing(bench: Workbench, plan: TensorPlan, chosen: _Selections, mixing: Mixing, span: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> None:
        records, shared = chosen.for_span(span, start, pattern_space(plan))

        def compute(chunk: Chunk, out: Bytes, dtype: str) -> int:
            return bench.kernels.vote(chunk, records, shared, mixing, out, dtype)

        bench.transform(own, plan, start, stop, compute)

    return task


def _l1_factors(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What brings the selected magnitudes back to the sum of all; 1 where either is next to nothing."""
    before, after = sums[:, 0], sums[:, 1]
    small = (before < 1e-7) | (after < 1e-7)
    return np.where(small, 1.0, before / np.where(small, 1.0, after))
