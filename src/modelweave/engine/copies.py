"""Jobs that copy one input, as it is or in another floating type."""

from __future__ import annotations

import numpy as np

from ..recipes.planning.plan import TensorPlan
from .kernels import CODES, Chunk, Room
from .scheduler import Stages, Task
from .workbench import KERNEL_OUTPUTS, Scratch, Workbench, spans


def copy_job(bench: Workbench, plan: TensorPlan) -> Stages:
    """Floating values are checked for NaN and infinity on the way; integers and the rest go byte by byte."""
    yield [_copying(bench, plan, *p) for p in spans(plan.count)]


def _copying(bench: Workbench, plan: TensorPlan, start: int, stop: int) -> Task:
    source = plan.inputs[0]
    verbatim = source.dtype not in CODES or (source.dtype == plan.dtype and plan.dtype not in KERNEL_OUTPUTS)

    def verbatim_task(own: Scratch) -> None:
        for at, count in bench.chunks(start, stop):
            data = bench.read(own, plan, at, count).data[0]
            bench.sink.write(plan.name, at, data)
            bench.moved(len(data))

    def compute(chunk: Chunk, out: Room, dtype: str) -> int:
        return bench.kernels.sum(chunk, np.ones(1), out, dtype)

    return verbatim_task if verbatim else lambda own: bench.transform(own, plan, start, stop, compute)
