"""Jobs of methods that are formulas: what they must know of the whole tensor first, then one pass that computes and writes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.dtypes import Bytes
from ..recipes.planning.plan import TensorPlan
from ..weights.formula import Formula, traced
from ..weights.part import Context, Round, spec_of
from .general import tensors_of
from .kernels import Chunk, Room
from .order_statistics import Edge, find, value_of
from .scheduler import Stages, Task
from .workbench import Scratch, Workbench, last_axis, options_of, spans, total

Found = Generator[list[Task], list[Any], Any]
_ROW = "the value of the row"
"""Stands in what was seen for a symbol that each tracing makes anew."""


def formula_job(bench: Workbench, plan: TensorPlan) -> Stages:
    """The part's rounds in order, then the part itself."""
    assert plan.method is not None
    part = plan.method.combine
    spec = spec_of(part)
    scale = plan.scale
    seen: tuple[Any, ...] = ()
    rows: NDArray[np.float64] | None = None
    reached: list[Bytes] = []
    for measure in spec.rounds:
        if measure.kind == "rows":
            rows = np.concatenate((yield _row_tasks(bench, plan, measure, seen)))
            seen = (*seen, _ROW)
        else:
            find_out = partial(_ranked, reached) if measure.kind == "ranked" else _summed
            seen = (*seen, (yield from find_out(bench, plan, measure, seen, rows)))
    direction = formula_of(plan, lambda deltas, context, **options: [part(deltas, context, **options)], seen, rows)

    def writing(start: int, stop: int, bits: Bytes | None) -> Task:
        def compute(chunk: Chunk, out: Room, dtype: str) -> int:
            only = None if bits is None else bits[(chunk.start - start) // 8 :]
            return bench.kernels.formula(chunk, direction, out, dtype, scale=scale, add_base=bench.add_base, only=only)

        return lambda own: bench.transform(own, plan, start, stop, compute)

    yield [writing(*span, reached[i] if reached else None) for i, span in enumerate(spans(plan.count))]


def formula_of(plan: TensorPlan, part: Callable[..., Any], seen: tuple[Any, ...] = (), rows: NDArray[np.float64] | None = None) -> Formula:
    """The steps of a function `(deltas, context, *, options) -> values` that stands beside, or for, the plan's part."""
    assert plan.method is not None
    spec, options = spec_of(plan.method.combine), options_of(plan.method.combine, plan.shared)

    def write(deltas: list[Any], base: Any, row_value: Any) -> Any:
        known = tuple(row_value if found is _ROW else found for found in seen)
        return part(deltas, replace(plan.context, base=base, seen=known), **options)

    found = traced(write, len(plan.inputs), wide=spec.wide)
    return found if rows is None else replace(found, rows=rows, row=last_axis(plan.shape))


def _ranked(
    reached: list[Bytes], bench: Workbench, plan: TensorPlan, measure: Round, seen: tuple[Any, ...], rows: NDArray[np.float64] | None
) -> Found:
    """Stages that end in the values of the ranks, (formulas, ranks); reached: takes the bits outside which a sparse direction is 0."""
    ranks: list[Any] = []

    def values(deltas: Any, context: Context, **options: Any) -> Any:
        found, wanted = measure.measure(deltas, context, **options)
        ranks[:] = wanted
        return found

    formula = formula_of(plan, values, seen, rows)
    first = len(plan.inputs) + 1
    edges = [[_edge(first + i, rank, plan.count) for rank in wanted] for i, wanted in enumerate(ranks)]
    yield from find(bench, plan, [edge for own in edges for edge in own], formula=formula, reached=reached if measure.sparse else None)
    return np.array([[value_of(edge.pattern) for edge in own] for own in edges])


def _edge(which: int, rank: int, count: int) -> Edge:
    descending = -rank if rank < 0 else count - rank
    return Edge(which, lambda _: descending)


def _summed(bench: Workbench, plan: TensorPlan, measure: Round, seen: tuple[Any, ...], rows: NDArray[np.float64] | None) -> Found:
    """Stages that end in the sums, (formulas,)."""
    formula = formula_of(plan, measure.measure, seen, rows)
    if not len(formula.results):
        return np.zeros(0)

    def task_of(start: int, stop: int) -> Task:
        def task(own: Scratch) -> NDArray[np.float64]:
            sums = np.zeros(len(formula.results))
            for chunk in bench.stream(own, plan, start, stop):
                bench.check(plan, bench.kernels.measure(chunk, formula, sums))
            return sums

        return task

    return total((yield [task_of(*span) for span in spans(plan.count)]))


def _row_tasks(bench: Workbench, plan: TensorPlan, measure: Round, seen: tuple[Any, ...]) -> list[Task]:
    """Tasks that find one value for each row, float64."""
    assert plan.method is not None
    row, options = last_axis(plan.shape), options_of(plan.method.combine, plan.shared)

    def task_of(start: int, stop: int) -> Task:
        def task(own: Scratch) -> NDArray[np.float64]:
            found = []
            for at, count in bench.chunks(start, stop, row):
                deltas, context = tensors_of(bench, plan, bench.read(own, plan, at, count), (-1, row), "cpu")
                found.append(measure.measure(deltas, replace(context, seen=seen), **options).double().numpy())
            return np.concatenate(found)

        return task

    return [task_of(*span) for span in spans(plan.count, row)]
