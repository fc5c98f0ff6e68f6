"""Methods whose direction is rescaled by norms over the whole model: all directions first, then their sums with the base."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.results.spill import Spill
from ..checkpoints.tensors import TensorRef
from ..errors import NonFiniteError
from ..recipes.planning.plan import TensorPlan
from .coefficients import store_direction
from .kept import Kept
from .scheduler import Job, Stages, Task
from .workbench import Scratch, Workbench, spans, total

Squares = NDArray[np.float64]
_WIDE = {"F32": np.float32, "F64": np.float64}


@dataclass(frozen=True)
class Rescaled:
    """A tensor's finished direction, and its factor."""

    direction: TensorRef
    factor: float


@contextmanager
def directions(
    bench: Workbench,
    tensors: Sequence[TensorPlan],
    job_of: Callable[[Workbench, TensorPlan], Job],
    run_all: Callable[[Iterable[Job]], None],
    folder: Path | None,
    kept: Kept,
) -> Iterator[Mapping[str, Rescaled]]:
    """The first pass: the steps of the second, by tensor, for as long as the context lasts.

    Directions are float32 or float64, in a file without a name in `folder`, or in memory. A resumed run makes all of them anew, because
    a norm over the whole model takes the tensors that are finished too.
    """
    plans = [plan for plan in tensors if plan.method is not None and plan.method.over_model is not None]
    if not plans:
        yield {}
        return
    alone = [replace(p, dtype="F64" if p.wide else "F32", scale=1.0) for p in plans]
    squares: dict[str, tuple[Squares, float]] = {}
    with Spill([(p.name, p.shape, p.dtype) for p in alone], folder) as spill:
        first = replace(bench, sink=spill, add_base=False)
        run_all(_measured(first, plan, spill.ref(plan.name), job_of(first, plan), squares) for plan in alone)
        steps: dict[str, Rescaled] = {}
        for name in dict.fromkeys(plan.method.name for plan in plans if plan.method):
            group = [plan for plan in plans if plan.method and plan.method.name == name]
            factor = _factor(group, squares, kept)
            steps |= {p.name: Rescaled(spill.ref(p.name), factor * p.scale) for p in group}
        yield steps


def adding_job(bench: Workbench, plan: TensorPlan, step: Rescaled) -> Stages:
    """The second pass: base + factor * direction."""
    yield [_adding(bench, plan, step, *span) for span in spans(plan.count)]


def _adding(bench: Workbench, plan: TensorPlan, step: Rescaled, start: int, stop: int) -> Task:
    alone = replace(plan, inputs=(step.direction,))

    def task(own: Scratch) -> None:
        for at, count in bench.chunks(start, stop):
            chunk = bench.read(own, alone, at, count)
            store_direction(bench, plan, own, chunk, chunk.data[0].view(_WIDE[step.direction.dtype]), step.factor)

    return task


def _measured(bench: Workbench, plan: TensorPlan, direction: TensorRef, job: Job, squares: dict[str, tuple[Squares, float]]) -> Job:
    """A job with sums of squares before it, of the members' changes, and after it, of the direction."""

    def stages() -> Stages:
        members = yield from _squares(bench, plan)
        if not np.isfinite(members).all():
            raise NonFiniteError(f"{plan.name}: holds NaN or infinity, and every tensor's result depends on its norm; fix that checkpoint")
        yield from job.stages
        after = replace(plan, inputs=(direction,), base=None, labels=("its direction",))
        squares[plan.name] = members, float((yield from _squares(bench, after))[0])

    return Job(stages(), job.footprint)


def _squares(bench: Workbench, plan: TensorPlan) -> Any:
    """Stages that end in the sums of squares of a tensor's inputs."""

    def task_of(start: int, stop: int) -> Task:
        def task(own: Scratch) -> Squares:
            out = np.zeros((len(plan.inputs), len(plan.inputs)))
            for chunk in bench.stream(own, plan, start, stop):
                bench.check(plan, bench.kernels.gram(chunk, out))
            return out

        return task

    if not plan.count:
        return np.zeros(len(plan.inputs))
    return np.diagonal(total((yield [task_of(*span) for span in spans(plan.count)])))


def _factor(group: Sequence[TensorPlan], squares: Mapping[str, tuple[Squares, float]], kept: Kept) -> float:
    """The method's factor, from sums over its tensors in the recipe's order; a member that lacks a tensor adds nothing there."""
    method = group[0].method
    assert method is not None and method.over_model is not None
    parts: dict[int, list[float]] = {}
    states: dict[int, Mapping[str, Any]] = {}
    for plan in group:
        for number, square, state in zip_longest(plan.members, squares[plan.name][0], plan.states):
            parts.setdefault(number, []).append(float(square))
            states.setdefault(number, state or {})
    numbers = sorted(parts)
    norm = math.sqrt(math.fsum(squares[plan.name][1] for plan in group))
    found = method.over_model.factor([math.sqrt(math.fsum(parts[n])) for n in numbers], norm, [states[n] for n in numbers])
    if found.warning:
        kept.warnings.append(found.warning)
    if all(plan.scale == 1 for plan in group):
        kept.records[method.name] = found.record
    return found.factor
