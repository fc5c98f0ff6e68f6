"""Run planned tensors into a sink: every byte in cache-sized chunks, on all cores, in bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoints.tensors import Sink
from ..errors import CompatibilityError, ParameterError
from ..recipes.planning.plan import TensorPlan
from ..weights.part import spec_of
from .coefficients import coefficient_job
from .copies import copy_job
from .device import check_device, wake
from .formulas import formula_job
from .general import general_job
from .joined import JoinedSink, join
from .kept import Kept
from .kernels import BINS, BLOCK, CompiledKernels, Kernels, library_path
from .masks import write_masks
from .options import Progress, RunOptions
from .scheduler import Job, Stages, run_jobs
from .two_pass import Rescaled, adding_job, directions
from .votes import vote_job
from .workbench import CHUNK, SPAN, Scratch, Workbench, spans


@dataclass(frozen=True)
class TensorReport:
    """What became of one output tensor."""

    name: str
    action: str
    shape: tuple[int, ...]
    dtype: str
    inputs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def run(
    tensors: Sequence[TensorPlan],
    sink: Sink,
    options: RunOptions,
    *,
    add_base: bool = True,
    spill: Path | None = None,
    kept: Kept | None = None,
) -> list[TensorReport]:
    """Compute every tensor that the sink does not have yet and hand it over.

    add_base: off to get what is added to the base alone. spill: a folder for what methods over the whole model must set aside, memory by
    default. kept: takes what methods leave beside the tensors.
    Results do not depend on threads, memory or chunks. Raises the first error of any worker.
    """
    check_device(options.device)
    wake(options.device)
    threads, memory, kept = options.workers, options.memory, kept or Kept()
    joined = JoinedSink(sink, kernels(), options.allow_nonfinite)
    left = join(tensors, joined)
    chunk, moved = _chunk([*left, *tensors], threads, memory), _meter(left, options.progress)
    bench = Workbench(joined.kernels, joined, options.seed, options.allow_nonfinite, chunk, options.device, add_base, moved)

    def run_all(jobs: Iterable[Job]) -> None:
        run_jobs(jobs, threads, memory, Scratch)

    with _one_torch_thread(joined.kernels, tensors), directions(bench, tensors, _job, run_all, spill, kept) as steps:
        run_all(_job(bench, plan, steps.get(plan.name)) for plan in left)
        write_masks(bench, tensors, kept, run_all)
    return [_report(bench, plan) for plan in tensors]


def kernels() -> Kernels:
    """The compiled kernels, or torch's where they were not built."""
    path = library_path()
    if path is not None and not os.environ.get("MODELWEAVE_TORCH_KERNELS"):
        return CompiledKernels(path)
    from .torch_kernels import TorchKernels

    return TorchKernels()


def stages_of(bench: Workbench, plan: TensorPlan) -> Stages:
    """The kind of job that a tensor's method calls for."""
    if plan.method is None:
        return copy_job(bench, plan)
    stand_in = spec_of(plan.method.combine).otherwise
    if stand_in is not None and len(plan.shape) != 2:
        bench.note(plan.name, f"not a matrix: {stand_in.__name__}")
        return stages_of(bench, replace(plan, method=replace(plan.method, combine=stand_in, per_delta=(), space=None, after=())))
    kind = spec_of(plan.method.combine).kind
    if kind != "tensors" and (plan.method.space or plan.method.after or (plan.method.per_delta and kind == "formula")):
        raise CompatibilityError(
            f"{plan.method.name}: a space or steps before or after it go with a combine that is a function of tensors, not with {kind}"
        )
    return {"coefficients": coefficient_job, "mixing": vote_job, "formula": formula_job, "tensors": general_job}[kind](bench, plan)


def footprint(plan: TensorPlan) -> int:
    """Bytes that a tensor's job holds beyond chunks: whole matrices, drawn bits, histograms, what is computed on read."""
    held = sum(ref.held for ref in plan.reads)
    if plan.method is None:
        return held
    spec = spec_of(plan.method.combine)
    if spec.kind == "mixing" and plan.method.per_delta:
        members, width = len(plan.inputs), 8 if plan.wide else 4
        collected = plan.count // 20 * width * (members + 1) if spec.energy else 0
        drawn = plan.draws * members * (plan.count // 8)
        return held + drawn + members * 2 * 20 * BINS * len(spans(plan.count)) + collected
    if any(found.kind == "ranked" for found in spec.rounds):
        return held + len(plan.inputs) * (plan.count // 20 * 4 + 2 * 20 * BINS * len(spans(plan.count))) + plan.count // 8
    return held + plan.whole_bytes


def _job(bench: Workbench, plan: TensorPlan, step: Rescaled | None = None) -> Job:
    return Job(_finished(bench, plan, step), 0 if step else footprint(plan))


def _finished(bench: Workbench, plan: TensorPlan, step: Rescaled | None) -> Stages:
    if plan.count:
        try:
            yield from stages_of(bench, plan) if step is None else adding_job(bench, plan, step)
        except (ParameterError, CompatibilityError) as error:
            if str(error).startswith(plan.name):
                raise
            raise type(error)(f"{plan.name}: {error}") from error
    bench.sink.finish(plan.name, tuple(bench.notes.get(plan.name, ())))


def _chunk(tensors: Sequence[TensorPlan], threads: int, memory: int) -> int:
    """Elements of a read, so that all threads' buffers take at most half of the memory."""
    widest = max((8 * (len(plan.reads) + 1) for plan in tensors), default=8)
    fitting = memory // 2 // threads // widest // BLOCK * BLOCK
    if fitting < BLOCK:
        need = 2 * threads * widest * BLOCK
        raise ParameterError(
            f"memory: at least {need} bytes are needed for {threads} threads, got {memory}; give more or use fewer threads"
        )
    chunk = CHUNK
    while chunk > fitting:
        chunk //= 2
    assert SPAN % chunk == 0
    return chunk


def _meter(tensors: Sequence[TensorPlan], progress: Progress | None) -> Callable[[int], None]:
    """Adds up bytes; a tensor's sources may be read more than once, so the total grows to what was seen."""
    if progress is None:
        return lambda size: None
    total = sum(passes(plan) * sum(r.nbytes for r in plan.reads) + plan.count * 2 for plan in tensors)
    done, lock = 0, threading.Lock()

    def moved(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, max(total, done))

    return moved


def passes(plan: TensorPlan) -> int:
    """How often a tensor's sources are read."""
    if plan.method is None:
        return 1
    spec = spec_of(plan.method.combine)
    extra = len(spec.rounds) + bool(spec.gram) + spec.energy + len(plan.method.per_delta)
    return 1 + extra + 2 * bool(plan.method.over_model) + bool(plan.method.masks)


def _report(bench: Workbench, plan: TensorPlan) -> TensorReport:
    action = plan.method.name if plan.method else "copied"
    notes = ((plan.reason,) if plan.reason else ()) + tuple(bench.notes.get(plan.name) or bench.sink.notes(plan.name))
    return TensorReport(plan.name, action, plan.shape, plan.dtype, plan.labels, notes)


class _one_torch_thread:
    """The engine's own threads are enough; torch's setting is put back afterwards."""

    def __init__(self, kernels: Kernels, tensors: Sequence[TensorPlan]) -> None:
        parts = [spec_of(plan.method.combine) for plan in tensors if plan.method]
        uses = any(part.kind == "tensors" or any(found.kind == "rows" for found in part.rounds) for part in parts)
        computed = any(ref.held for plan in tensors for ref in plan.reads)
        self.needed = uses or computed or not isinstance(kernels, CompiledKernels)

    def __enter__(self) -> None:
        if self.needed:
            import torch

            self.before = torch.get_num_threads()
            torch.set_num_threads(1)

    def __exit__(self, *_: Any) -> None:
        if self.needed:
            import torch

            torch.set_num_threads(self.before)
