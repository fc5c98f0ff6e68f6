"""What a method keeps of each member beside its result: one bit an entry and one factor a member.

`masks.safetensors` holds for member i and tensor `name` the bits of "i.name" (uint8, lowest bit first), and `rescalers`, float64: the
method's factor for each member, from sums over the whole model. Both are of the direction before it is
scaled and rounded; `scales` in the metadata names what it was scaled by, where that is not 1. recover.py reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.tensors import TensorFile
from ..recipes.planning.plan import TensorPlan
from ..weights.formula import Formula
from ..weights.part import Context
from .formulas import formula_of
from .kept import Kept
from .scheduler import Job, Stages, Task
from .workbench import Scratch, Workbench, spans, total

STEM = "masks"
Sums = NDArray[np.float64]


def write_masks(bench: Workbench, plans: Sequence[TensorPlan], kept: Kept, run_all: Callable[[Iterable[Job]], None]) -> None:
    """One more pass over the inputs, where the plans' method keeps something of each member and somebody wants it."""
    chosen = [plan for plan in plans if plan.method is not None and plan.method.masks is not None and plan.count]
    if kept.sink is None or not chosen:
        return
    names = {number: label for plan in chosen for number, label in zip(plan.members, plan.labels, strict=True)}
    place = {number: i for i, number in enumerate(sorted(names))}  # a tensor may lack some of the members
    rows = [[place[number] for number in plan.members] for plan in chosen]
    specs = [(f"{i}.{plan.name}", ((plan.count + 7) // 8,), "U8") for plan, own in zip(chosen, rows, strict=True) for i in own]
    found: dict[str, Sums] = {}
    with kept.sink.side_tensors(STEM, [*specs, ("rescalers", (len(names),), "F64")], _metadata(chosen, [names[n] for n in place])) as file:
        run_all(Job(_masking(bench, plan, own, file, found)) for plan, own in zip(chosen, rows, strict=True))
        method = chosen[0].method
        assert method is not None and method.masks is not None
        sums = np.zeros((len(names), found[chosen[0].name].shape[1]))
        for plan, own in zip(chosen, rows, strict=True):  # in this order, whichever was finished first
            sums[own] += found[plan.name]
        file.write("rescalers", 0, method.masks.factors(sums).view(np.uint8))


def _metadata(plans: Sequence[TensorPlan], labels: Sequence[str]) -> dict[str, str]:
    method = plans[0].method
    scales = {plan.name: plan.scale for plan in plans if plan.scale != 1}
    return {"members": json.dumps(labels), "method": method.name if method else "", "scales": json.dumps(scales)}


def _masking(bench: Workbench, plan: TensorPlan, rows: Sequence[int], file: TensorFile, found: dict[str, Sums]) -> Stages:
    formula = formula_of(plan, partial(_masks_and_sizes, plan))
    sums = total((yield [_task(bench, plan, formula, rows, file, *span) for span in spans(plan.count)]))
    found[plan.name] = sums.reshape(-1, len(rows)).T


def _masks_and_sizes(plan: TensorPlan, deltas: Any, context: Context, **options: Any) -> list[Any]:
    """The members' masks, and what is summed for their factors."""
    method = plan.method
    assert method is not None and method.masks is not None
    unified = method.combine(deltas, context, **options)
    masks = method.masks.masks(deltas, unified)
    return [*masks, *method.masks.sizes(deltas, unified, masks)]


def _task(bench: Workbench, plan: TensorPlan, formula: Formula, rows: Sequence[int], file: TensorFile, start: int, stop: int) -> Task:
    def task(own: Scratch) -> Sums:
        sums = np.zeros(len(formula.results) - len(rows))
        for chunk in bench.stream(own, plan, start, stop):
            bits = [np.zeros((chunk.count + 7) // 8, np.uint8) for _ in rows]
            bench.check(plan, bench.kernels.measure(chunk, formula, sums, bits))
            for i, held in zip(rows, bits, strict=True):
                file.write(f"{i}.{plan.name}", chunk.start // 8, held)
        return sums

    return task
