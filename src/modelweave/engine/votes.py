"""Jobs that select entries of each delta and mix what is left: task arithmetic, TIES, DARE, Breadcrumbs, DELLA, SCE."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipes.planning.plan import TensorPlan
from ..weights.part import Blocks, Chance, Mix, Ranks, spec_of
from .kernels import KEEP_BITS, KEEP_CHANCE, KEEP_WINDOW, OUTPUT_BIT, SELECTION, Chunk, Mixing, Room
from .order_statistics import Edge, differences, find, pattern_space
from .scheduler import Stages, Task
from .workbench import Scratch, Workbench, last_axis, options_of, row_length, spans, total

Records = NDArray[Any]


@dataclass
class _Window:
    """Ranks of one input between two edges; an edge that is None is open. with_equals: all that equal the lower one are in."""

    upper: Edge | None
    lower: Edge | None
    with_equals: bool = False

    def record(self, record: Any, span: int, space: int) -> None:
        """Write the bounds for one span: whole patterns, and quotas where the span's equal entries are split."""
        record["kind"], record["lo"], record["hi"] = KEEP_WINDOW, 0, space
        if self.lower is not None:
            kept, equal = self.lower.in_span(span)
            pattern = self.lower.pattern
            whole = kept == equal or self.with_equals
            record["lo"] = pattern if whole else pattern + 1
            if kept and not whole:
                record["lo_quota"] = kept
        if self.upper is not None:
            dropped, equal = self.upper.in_span(span)
            pattern = self.upper.pattern
            same = self.lower is not None and self.lower.pattern == pattern
            whole = dropped == equal and not same
            record["hi"] = pattern if whole else pattern + 1
            if dropped and not whole:
                record["hi_quota"] = dropped


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
    """Statistics of the selections, then one pass that mixes and writes; with several seeds the mean of their results."""
    drawn = []
    for seed in range(plan.draws):
        drawn.append((yield from _prepared(bench, plan, seed)))
    step = max((_row(plan, part) for part in plan.method.per_delta), default=1) if plan.method else 1
    yield [_mixing(bench, plan, drawn, i, *p) for i, p in enumerate(spans(plan.count, step))]


def _prepared(bench: Workbench, plan: TensorPlan, seed: int) -> Generator[list[Task], list[Any], tuple[_Selections, Mixing]]:
    """Stages that find out which entries stay and how they are mixed, for one of the seeds."""
    assert plan.method is not None
    step = max((_row(plan, part) for part in plan.method.per_delta), default=1)
    parts = spans(plan.count, step)
    chosen = _Selections(np.zeros(len(plan.inputs), SELECTION))
    chosen.records["factor"] = chosen.records["voice"] = chosen.records["weight"] = 1.0
    energy = spec_of(plan.method.combine).energy
    sums: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    for part in plan.method.per_delta:
        if spec_of(part).kind == "shared_selection":
            squares = yield from _share(bench, plan, part, chosen, energy)
        else:
            edges, by_row = _choose(bench, plan, part, chosen, seed)
            yield from find(bench, plan, edges)
            if by_row:
                sums = total((yield [_marking(bench, plan, chosen, by_row, step, i, *p) for i, p in enumerate(parts)]))
    rescale = plan.rescale and bool(plan.method.per_delta)
    if (energy and squares is None) or (rescale and sums is None):
        sums = total((yield [_summing(bench, plan, chosen, energy, i, *p) for i, p in enumerate(parts)]))
        squares = sums[:, 2] if energy else None
    if rescale and sums is not None:
        chosen.records["factor"] = _l1_factors(sums)
    mix = _mix(plan, None if squares is None else squares / max(plan.count, 1))
    chosen.records["weight"], chosen.records["share"] = mix.weights, mix.shares or mix.weights
    if mix.voices:
        chosen.records["voice"] = mix.voices
    zero_sign = mix.zero_sign
    if zero_sign is None:
        balance = total((yield [_balancing(bench, plan, chosen, i, *p) for i, p in enumerate(parts)]))
        zero_sign = 1.0 if balance[0] > 0 else -1.0  # where neither sign prevails the authors' code takes minus
    mixing = Mixing(mix.elect, mix.divide, zero_sign, mix.floor, mix.divisor, plan.scale, bench.add_base)
    return chosen, mixing


def _mix(plan: TensorPlan, energy: NDArray[np.float64] | None) -> Mix:
    assert plan.method is not None
    extra = {} if energy is None else {"energy": energy}
    result: Mix = plan.method.combine(plan.per_input, **extra, **options_of(plan.method.combine, plan.shared))
    return result


def _row(plan: TensorPlan, part: Callable[..., Any]) -> int:
    """How many elements must be seen together for a part's selection: a row where it ranks within rows."""
    answers = _answers(plan, part)
    if any(isinstance(answer, Blocks) or (isinstance(answer, Ranks) and answer.by_row) for answer in answers):
        return last_axis(plan.shape)
    return row_length(plan.shape) if any(isinstance(answer, Chance) and answer.low != answer.high for answer in answers) else 1


def _answers(plan: TensorPlan, part: Callable[..., Any]) -> list[Ranks | Chance | Blocks]:
    spec = spec_of(part)
    if spec.kind == "shared_selection":
        return []
    row = (last_axis(plan.shape),) if spec.row else ()
    return [part(plan.count, *row, **options_of(part, {**plan.shared, **member})) for member in plan.per_input]


def _choose(
    bench: Workbench, plan: TensorPlan, part: Callable[..., Any], chosen: _Selections, seed: int
) -> tuple[list[Edge], dict[int, Ranks | Chance | Blocks]]:
    """Translate each member's selection: edges to find, answers that depend on ranks in a row, or settled records."""
    edges: list[Edge] = []
    by_row: dict[int, Ranks | Chance | Blocks] = {}
    for i, answer in enumerate(_answers(plan, part)):
        record, member = chosen.records[i], plan.members[i] if plan.members else i
        if isinstance(answer, Blocks) or (isinstance(answer, Ranks) and answer.by_row):
            record["kind"] = KEEP_BITS
            by_row[i] = answer
        elif isinstance(answer, Ranks):
            chosen.windows[i] = _window(answer, i, plan.count)
            edges += [e for e in (chosen.windows[i].upper, chosen.windows[i].lower) if e is not None]
        elif answer.low < 1:
            record["key0"], record["key1"] = bench.keys(plan.stream or plan.name, member, seed)
            if answer.low == answer.high:
                record["kind"], record["below"] = KEEP_CHANCE, round(answer.low * (1 << 24))
            else:
                record["kind"] = KEEP_BITS
                by_row[i] = answer
    return edges, by_row


def _window(ranks: Ranks, i: int, count: int) -> _Window:
    last = ranks.first + ranks.count
    upper = Edge(i, lambda _: ranks.first) if ranks.first > 0 else None
    lower = Edge(i, lambda _: last) if last < count or ranks.count == 0 else None
    if ranks.count == 0:  # nothing stays: an edge above everything
        return _Window(None, Edge(i, lambda _: 0))
    return _Window(upper, lower, ranks.with_equals)


def _share(bench: Workbench, plan: TensorPlan, part: Callable[..., Any], chosen: _Selections, energy: bool) -> Any:
    """Find the edge of a selection by the variance over the members; returns the sums of squares that were found on the way."""
    options = options_of(part, plan.shared)
    if part(1, **options) is None:
        return None
    edge = Edge(len(plan.inputs), lambda nonzero: part(nonzero, **options).count, with_energy=energy)
    chosen.shared = _Window(None, edge)
    yield from find(bench, plan, [edge], counted=True)
    return edge.energy


def _marking(
    bench: Workbench,
    plan: TensorPlan,
    chosen: _Selections,
    by_row: Mapping[int, Ranks | Chance | Blocks],
    row: int,
    span: int,
    start: int,
    stop: int,
) -> Task:
    """Set a bit for each entry that stays by its rank in its row, and add up the magnitudes of all and of those."""
    for i in by_row:
        chosen.bits.setdefault(i, []).append(np.zeros((stop - start + 7) // 8, np.uint8))

    ranks = {i: answer for i, answer in by_row.items() if isinstance(answer, Ranks)}
    blocks = np.array([(c.n, c.m) if isinstance(c := by_row.get(i), Blocks) else (0, 0) for i in range(len(plan.inputs))], np.int64)
    chances = np.array([(c.low, c.high) if isinstance(c := by_row.get(i), Chance) else (1, 1) for i in range(len(plan.inputs))], np.float64)

    def by_ranks(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros((len(plan.inputs), 3))
        for at, count in bench.chunks(start, stop, row):
            values = np.abs(differences(bench, plan, bench.read(own, plan, at, count)))
            for i, answer in ranks.items():
                _mark_ranks(values[i].reshape(-1, row), answer, chosen.bits[i][span], at - start, out[i])
        return out

    def by_kernel(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros((len(plan.inputs), 3))
        records, _ = chosen.for_span(span, start, pattern_space(plan))
        for chunk in bench.stream(own, plan, start, stop, row):
            if blocks.any():
                bench.check(plan, bench.kernels.mark_blocks(chunk, records, row, blocks, out))
            else:
                bench.check(plan, bench.kernels.rank_chance(chunk, records, row, chances, out))
        return out

    return by_ranks if ranks else by_kernel


def _mark_ranks(magnitudes: NDArray[Any], ranks: Ranks, bits: NDArray[np.uint8], at: int, out: NDArray[np.float64]) -> None:
    """magnitudes: (rows, row), whose bits begin at number `at`."""
    order = np.argsort(-magnitudes, axis=1, kind="stable")[:, ranks.first : ranks.first + ranks.count]
    keep = np.zeros(magnitudes.shape, bool)
    np.put_along_axis(keep, order, True, axis=1)
    held = np.unpackbits(bits, bitorder="little")
    held[at : at + keep.size] = keep.reshape(-1)
    bits[:] = np.packbits(held, bitorder="little")
    wide = magnitudes.astype(np.float64, copy=False)
    for k, values in enumerate((wide, np.where(keep, wide, 0))):
        # row by row, so that the sum does not depend on how many rows are read at once
        out[k] = np.cumsum(np.concatenate([out[k : k + 1], values.sum(axis=1)]))[-1]


def _summing(bench: Workbench, plan: TensorPlan, chosen: _Selections, squares: bool, span: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros((len(plan.inputs), 3))
        records, shared = chosen.for_span(span, start, pattern_space(plan))
        for chunk in bench.stream(own, plan, start, stop):
            bench.check(plan, bench.kernels.selected_sums(chunk, records, shared, out, squares=squares))
        return out

    return task


def _balancing(bench: Workbench, plan: TensorPlan, chosen: _Selections, span: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> NDArray[np.float64]:
        out = np.zeros(1)
        records, _ = chosen.for_span(span, start, pattern_space(plan))
        for chunk in bench.stream(own, plan, start, stop):
            bench.check(plan, bench.kernels.balance(chunk, records, out))
        return out

    return task


def _mixing(bench: Workbench, plan: TensorPlan, drawn: list[tuple[_Selections, Mixing]], span: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> None:
        settled = [(*chosen.for_span(span, start, pattern_space(plan)), mixing) for chosen, mixing in drawn]

        if len(settled) == 1:
            bench.transform(own, plan, start, stop, lambda chunk, out, dtype: bench.kernels.vote(chunk, *settled[0], out, dtype))
            return
        for at, count in bench.chunks(start, stop):
            chunk = bench.read(own, plan, at, count)
            bench.store(own, plan, chunk, lambda chunk, out, dtype: _mean_of_votes(bench, own, chunk, settled, out, dtype))

    return task


def _mean_of_votes(bench: Workbench, own: Scratch, chunk: Chunk, settled: Sequence[Any], out: Room, dtype: str) -> int:
    kind, width = ("F64", 8) if chunk.wide else ("F32", 4)
    flags, results = 0, []
    for i, (records, shared, mixing) in enumerate(settled):
        results.append(own.take(f"draw{i}", chunk.count * width))
        flags |= bench.kernels.vote(chunk, records, shared, replace(mixing, add_base=False), results[-1], kind)
    factors, kinds = [1 / len(results)] * len(results), [kind] * len(results)
    if chunk.base is not None and bench.add_base:
        results, factors, kinds = [chunk.base, *results], [1.0, *factors], [chunk.base_dtype, *kinds]
    summed = Chunk(chunk.start, chunk.count, results, kinds)
    return flags | (bench.kernels.sum(summed, np.array(factors), out, dtype) & OUTPUT_BIT)


def _l1_factors(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What brings the selected magnitudes back to the sum of all; 1 where either is next to nothing."""
    before, after = sums[:, 0], sums[:, 1]
    small = (before < 1e-7) | (after < 1e-7)
    return np.where(small, 1.0, before / np.where(small, 1.0, after))
