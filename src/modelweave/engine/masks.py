"""What a method keeps of each member beside its result: one bit an entry and one factor a member.

`masks.safetensors` holds for member i and tensor `name` the bits of "i.name" (uint8, lowest bit first), and `rescalers`, float64: the
factor that brings the masked change to the member's own summed magnitude over the whole model. Both are of the direction before it is
scaled and rounded; `scales` in the metadata names what it was scaled by, where that is not 1. recover.py reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.results.folder import FolderSink
from ..checkpoints.results.memory_sink import MemorySink
from ..checkpoints.results.side_tensors import SideTensors
from ..recipes.planning.plan import TensorPlan
from .general import tensors_of
from .kernels import BLOCK
from .scheduler import Job, Stages, Task
from .workbench import Scratch, Workbench, options_of, spans

if TYPE_CHECKING:
    from torch import Tensor

STEM = "masks"
Sums = NDArray[np.float64]


def write_masks(
    bench: Workbench, plans: Sequence[TensorPlan], sink: FolderSink | MemorySink, run_all: Callable[[Iterable[Job]], None]
) -> None:
    """One more pass over the inputs, where the plans' method keeps something of each member; nothing otherwise."""
    chosen = [plan for plan in plans if plan.method is not None and plan.method.masks is not None and plan.count]
    if not chosen:
        return
    names = {number: label for plan in chosen for number, label in zip(plan.members, plan.labels, strict=True)}
    place = {number: i for i, number in enumerate(sorted(names))}  # a tensor may lack some of the members
    rows = [[place[number] for number in plan.members] for plan in chosen]
    specs = [(f"{i}.{plan.name}", ((plan.count + 7) // 8,), "U8") for plan, own in zip(chosen, rows, strict=True) for i in own]
    found: dict[str, Sums] = {}
    with sink.side_tensors(STEM, [*specs, ("rescalers", (len(names),), "F64")], _metadata(chosen, [names[n] for n in place])) as file:
        run_all(Job(_masking(bench, plan, own, file, found)) for plan, own in zip(chosen, rows, strict=True))
        sums = np.zeros((len(names), 2))
        for plan, own in zip(chosen, rows, strict=True):  # in this order, whichever was finished first
            sums[own] += found[plan.name]
        total, masked = sums.T
        factors = np.where(masked > 0, total / np.where(masked > 0, masked, 1), 1.0)
        file.write("rescalers", 0, factors.view(np.uint8))


def _metadata(plans: Sequence[TensorPlan], labels: Sequence[str]) -> dict[str, str]:
    method = plans[0].method
    scales = {plan.name: scale for plan in plans if (scale := float(plan.shared.get("scale", 1.0))) != 1}
    return {"members": json.dumps(labels), "method": method.name if method else "", "scales": json.dumps(scales)}


def _masking(bench: Workbench, plan: TensorPlan, rows: Sequence[int], file: SideTensors | MemorySink, found: dict[str, Sums]) -> Stages:
    results = yield [_task(bench, plan, rows, file, *span) for span in spans(plan.count)]
    found[plan.name] = np.concatenate([block for span in results for block in span], axis=1).sum(axis=1)


def _task(bench: Workbench, plan: TensorPlan, rows: Sequence[int], file: SideTensors | MemorySink, start: int, stop: int) -> Task:
    method = plan.method
    assert method is not None and method.masks is not None
    masks, options = method.masks, options_of(method.combine, plan.shared)

    def task(own: Scratch) -> list[Sums]:
        sums = []
        for at, count in bench.chunks(start, stop):
            deltas, context = tensors_of(bench, plan, bench.read(own, plan, at, count), ())
            unified = method.combine(deltas, context, **options)
            kept = masks(deltas, unified)
            sums.append(np.stack([_by_block(deltas.abs()), _by_block(kept * unified.abs())], axis=-1))
            for i, bits in zip(rows, np.packbits(kept.cpu().numpy(), axis=1, bitorder="little"), strict=True):
                file.write(f"{i}.{plan.name}", at // 8, np.ascontiguousarray(bits))
        return sums

    return task


def _by_block(values: Tensor) -> Sums:
    """The sums of blocks of a fixed length, (members, blocks), so that they do not hang on how much is read at once."""
    wide = values.double().cpu().numpy()
    whole = np.pad(wide, ((0, 0), (0, -wide.shape[1] % BLOCK)))
    summed: Sums = whole.reshape(len(wide), -1, BLOCK).sum(axis=-1)
    return summed
