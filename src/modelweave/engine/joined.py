"""Tensors that a method ranks together, over the whole model, as one long tensor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from ..checkpoints.decode import decode
from ..checkpoints.dtypes import DTYPES, Bytes
from ..checkpoints.tensors import InFile, Sink, TensorRef
from ..errors import CompatibilityError, ParameterError
from ..recipes.planning.plan import TensorPlan
from .kernels import Kernels
from .workbench import rounded, too_large


@dataclass(frozen=True)
class _Row:
    """Where pieces of a run of elements lie: parts in a row, each from its start on."""

    starts: tuple[int, ...]

    def pieces(self, start: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """(part, first element in the part, first in the run, how many) for each part that the run touches."""
        done, part = 0, bisect_right(self.starts, start) - 1
        while done < count:
            end = self.starts[part + 1]
            size = min(count - done, end - start - done)
            if size:
                yield part, start + done - self.starts[part], done, size
            done, part = done + size, part + 1


class _JoinedRef(TensorRef):
    """Several tensors one after another; in float32 or wider where their types differ."""

    def __init__(self, refs: Sequence[TensorRef], row: _Row) -> None:
        types = {ref.dtype for ref in refs}
        super().__init__(refs[0].name, (row.starts[-1],), types.pop() if len(types) == 1 else "F64" if "F64" in types else "F32")
        self.refs, self.row = refs, row

    def read_into(self, start: int, out: Bytes) -> None:
        width = DTYPES[self.dtype].itemsize
        for part, first, at, size in self.row.pieces(start, len(out) // width):
            ref, room = self.refs[part], out[at * width : (at + size) * width]
            if ref.dtype == self.dtype:
                ref.read_into(first, room)
            else:
                room.view(np.float64 if width == 8 else np.float32)[:] = decode(ref.read(first, first + size), ref.dtype)


class JoinedSink:
    """Hands what is computed for a joined tensor on to its parts, rounded to their types."""

    def __init__(self, sink: Sink, kernels: Kernels, allow_nonfinite: bool = False) -> None:
        self.sink, self.kernels, self.allow_nonfinite = sink, kernels, allow_nonfinite
        self.parts: dict[str, tuple[TensorPlan, Sequence[TensorPlan], _Row]] = {}

    def is_done(self, name: str) -> bool:
        return self.sink.is_done(name)

    def write(self, name: str, start: int, data: Bytes) -> None:
        if name not in self.parts:
            return self.sink.write(name, start, data)
        whole, parts, row = self.parts[name]
        width = DTYPES[whole.dtype].itemsize
        for part, first, at, size in row.pieces(start, len(data) // width):
            plan, piece = parts[part], data[at * width : (at + size) * width]
            if plan.dtype != whole.dtype:
                piece, fits = rounded(self.kernels, piece, whole.dtype, plan.dtype)
                if not fits and not self.allow_nonfinite:
                    raise too_large(plan)
            self.sink.write(plan.name, first, piece)

    def room(self, name: str, start: int, count: int) -> AbstractContextManager[Bytes | InFile | None]:
        return nullcontext() if name in self.parts else self.sink.room(name, start, count)

    def notes(self, name: str) -> tuple[str, ...]:
        return self.sink.notes(name)

    def finish(self, name: str, notes: tuple[str, ...] = ()) -> None:
        for part in [plan.name for plan in self.parts[name][1]] if name in self.parts else [name]:
            self.sink.finish(part, notes)


def join(plans: Sequence[TensorPlan], sink: JoinedSink) -> list[TensorPlan]:
    """What is left to compute: each plan that is not done, and those that are ranked over the model as one a method.

    Raises ParameterError where tensors that are ranked together have different parameters or members.
    """
    left, groups = [], dict[str, list[TensorPlan]]()
    for plan in plans:
        if plan.method is not None and plan.ranked_over == "model":
            groups.setdefault(plan.method.name, []).append(plan)
        elif not sink.is_done(plan.name):
            left.append(plan)
    for name, group in groups.items():
        first = group[0]
        for plan in group:
            if (plan.shared, plan.scale, plan.per_input, plan.labels) != (first.shared, first.scale, first.per_input, first.labels):
                raise ParameterError(
                    f"{plan.name}: {name} with scope 'model' ranks it together with {first.name}, but their parameters or models differ; "
                    "give all tensors the same, or set scope to 'tensor'"
                )
        if not all(sink.is_done(plan.name) for plan in group):
            left.append(_joined(group, sink))
    return left


def _joined(group: Sequence[TensorPlan], sink: JoinedSink) -> TensorPlan:
    starts = np.cumsum([0, *(plan.count for plan in group)]).tolist()
    row = _Row(tuple(starts))
    first, types = group[0], {plan.dtype for plan in group}
    base = None if first.base is None else _JoinedRef([plan.base for plan in group if plan.base is not None], row)
    whole = replace(
        first,
        name=f"{first.name} and {len(group) - 1} more, ranked together",
        shape=(starts[-1],),
        dtype=types.pop() if len(types) == 1 else "F64" if "F64" in types else "F32",
        inputs=tuple(_JoinedRef([plan.inputs[i] for plan in group], row) for i in range(len(first.inputs))),
        base=base,
        beside={word: tuple(_JoinedRef(_present(word, group, i), row) for i in range(len(first.inputs))) for word in first.beside},
        layer=None,
        layers=None,
    )
    sink.parts[whole.name] = whole, group, row
    return whole


def _present(word: str, group: Sequence[TensorPlan], member: int) -> list[TensorRef]:
    """One member's statistics of all tensors."""
    refs = {plan.name: plan.beside[word][member] for plan in group}
    for name, ref in refs.items():
        if ref is None:
            raise CompatibilityError(f"{name}: the {word} of '{group[0].labels[member]}' lacks it; rank within tensors, or compute it anew")
    return [ref for ref in refs.values() if ref is not None]
