"""Jobs of methods whose result stays in the span of the inputs: measure inner products, solve, sum."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recipes.planning.plan import TensorPlan
from ..weights.part import spec_of
from .kernels import Chunk, Room
from .order_statistics import differences
from .scheduler import Stages, Task
from .workbench import Scratch, Workbench, options_of, spans, total

Floats = NDArray[np.float64]


def coefficient_job(bench: Workbench, plan: TensorPlan) -> Stages:
    """One pass to measure where the part wants inner products, one to sum."""
    assert plan.method is not None
    part = plan.method.combine
    options = _options(plan)
    gram = spec_of(part).gram
    axis: str = gram(options) if callable(gram) else gram
    if axis in ("row", "column") and len(plan.shape) < 2:
        axis = "tensor"
    scale = plan.scale
    if axis in ("row", "column"):
        yield from _lines_job(bench, plan, axis, scale)
        return
    measured: Floats | None = None
    if axis == "tensor":
        measured = total((yield [_measuring(bench, plan, *p) for p in spans(plan.count)]))
    coefficients = np.asarray(part(measured, plan.per_input, **options), np.float64)
    if spec_of(part).placed:
        bench.note(plan.name, ", ".join(f"{c:g} of '{label}'" for c, label in zip(coefficients, plan.labels, strict=False)))
    yield [_summing(bench, plan, coefficients, scale, *p) for p in spans(plan.count)]


def _options(plan: TensorPlan) -> dict[str, Any]:
    assert plan.method is not None
    placed = {"context": plan.context} if spec_of(plan.method.combine).placed else {}
    return options_of(plan.method.combine, plan.shared) | placed


def _measuring(bench: Workbench, plan: TensorPlan, start: int, stop: int) -> Task:
    def task(own: Scratch) -> Floats:
        out = np.zeros((len(plan.inputs), len(plan.inputs)))
        for chunk in bench.stream(own, plan, start, stop):
            bench.check(plan, bench.kernels.gram(chunk, out))
        return out

    return task


def _summing(bench: Workbench, plan: TensorPlan, coefficients: Floats, scale: float, start: int, stop: int) -> Task:
    def compute(chunk: Chunk, out: Room, dtype: str) -> int:
        return bench.kernels.sum(chunk, coefficients, out, dtype, scale=scale, add_base=bench.add_base)

    return lambda own: bench.transform(own, plan, start, stop, compute)


def _lines_job(bench: Workbench, plan: TensorPlan, axis: str, scale: float) -> Stages:
    """One set of coefficients for each vector along the last axis ("row"), or along the first of a matrix ("column")."""
    row = plan.shape[-1]
    if axis == "row":
        yield [_row_task(bench, plan, row, scale, *p) for p in spans(plan.count, row)]
        return
    assert plan.method is not None
    width = plan.count // plan.shape[0]
    parts = spans(plan.count, width)
    measured = total((yield [_column_gram(bench, plan, width, *p) for p in parts]))
    options = _options(plan)
    coefficients = np.asarray(plan.method.combine(measured, plan.per_input, **options), np.float64)
    yield [_column_sum(bench, plan, coefficients, width, scale, *p) for p in parts]


def _row_task(bench: Workbench, plan: TensorPlan, row: int, scale: float, start: int, stop: int) -> Task:
    """Rows are whole in a chunk, so that measuring and summing need one read."""
    assert plan.method is not None
    part, options = plan.method.combine, _options(plan)
    n = len(plan.inputs)

    def compute(chunk: Chunk, out: Room, dtype: str) -> int:
        gram = np.zeros((chunk.count // row, n, n))
        bench.check(plan, bench.kernels.gram(chunk, gram, row))
        coefficients = np.ascontiguousarray(part(gram, plan.per_input, **options), np.float64)
        return bench.kernels.sum(chunk, coefficients, out, dtype, scale=scale, add_base=bench.add_base, row=row)

    def task(own: Scratch) -> None:
        for at, count in bench.chunks(start, stop, row):
            bench.store(own, plan, bench.read(own, plan, at, count), compute)

    return task


def _column_gram(bench: Workbench, plan: TensorPlan, width: int, start: int, stop: int) -> Task:
    def task(own: Scratch) -> Floats:
        total = np.zeros((width, len(plan.inputs), len(plan.inputs)))
        for at, count in bench.chunks(start, stop, width):
            values = differences(bench, plan, bench.read(own, plan, at, count)).reshape(len(plan.inputs), -1, width).astype(np.float64)
            for row in range(values.shape[1]):  # row by row: the same rounding for any chunk
                total += np.einsum("iw,jw->wij", values[:, row], values[:, row])
        return total

    return task


def _column_sum(bench: Workbench, plan: TensorPlan, coefficients: Floats, width: int, scale: float, start: int, stop: int) -> Task:
    def task(own: Scratch) -> None:
        for at, count in bench.chunks(start, stop, width):
            chunk = bench.read(own, plan, at, count)
            values = differences(bench, plan, chunk).reshape(len(plan.inputs), -1, width)
            mixed: Any = np.zeros(values.shape[1:], values.dtype)
            for i in range(len(plan.inputs)):
                mixed += coefficients[:, i].astype(values.dtype) * values[i]
            store_direction(bench, plan, own, chunk, mixed.reshape(-1), scale)

    return task


def store_direction(bench: Workbench, plan: TensorPlan, own: Scratch, chunk: Chunk, direction: NDArray[Any], scale: float) -> None:
    """Store base + scale * direction, or scale * direction where there is no base."""
    kind = "F64" if direction.dtype == np.float64 else "F32"
    data, kinds, factors = [np.ascontiguousarray(direction).view(np.uint8)], [kind], [scale]
    if chunk.base is not None and bench.add_base:
        data, kinds, factors = [chunk.base, *data], [chunk.base_dtype, kind], [1.0, scale]
    pair = replace(chunk, data=data, dtypes=kinds, base=None)
    bench.store(own, plan, pair, lambda given, out, dtype: bench.kernels.sum(given, np.array(factors), out, dtype))
