"""The workbench of a run: how tasks read chunks, check them and hand results over."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.dtypes import DTYPES, Bytes
from ..checkpoints.tensors import Sink, TensorRef
from ..errors import CheckpointError, CompatibilityError, NonFiniteError
from ..recipes.planning.plan import TensorPlan
from ..weights.part import spec_of
from .kernels import BASE_BIT, BLOCK, OUTPUT_BIT, READ_BIT, WINDOW, Chunk, Kernels, Room

SPAN = 1024 * BLOCK
"""Elements of the unit of work. Sums are rounded once a span, so this is fixed, whatever the memory and the threads."""
CHUNK = 256 * BLOCK
"""Elements read at once; a divisor of SPAN."""
_LAST_STEP = {"F8_E4M3": 5, "F8_E5M2": 13}
"""Logarithm of the distance between the two largest values of a type."""
KERNEL_OUTPUTS = ("F64", "F32", "F16", "BF16")
Compute = Callable[[Chunk, Room, str], int]
"""(chunk, what to fill, its type) -> the kernel's flags."""


class Scratch:
    """One thread's reusable buffers."""

    def __init__(self) -> None:
        self._buffers: dict[str, Bytes] = {}

    def take(self, name: str, size: int) -> Bytes:
        """`size` bytes that stay valid until the same name is taken again."""
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size]


@dataclass
class Workbench:
    """What all jobs of a run share."""

    kernels: Kernels
    sink: Sink
    seed: int = 0
    allow_nonfinite: bool = False
    chunk: int = CHUNK
    device: str = "cpu"
    add_base: bool = True
    """Off for the direction alone: what is added to the base, without it."""
    moved: Callable[[int], None] = lambda size: None
    notes: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, text: str) -> None:
        """Something the report should say of a tensor."""
        with self._lock:
            known = self.notes.setdefault(name, [])
            if text not in known:
                known.append(text)

    def keys(self, tensor: str, member: int, repeat: int = 0) -> tuple[int, int]:
        """The random stream of one member's tensor; repeat: the how manieth of several."""
        words = f"{self.seed}\0{member}\0{tensor}" + (f"\0{repeat}" if repeat else "")
        digest = hashlib.blake2b(words.encode(), digest_size=8).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")

    def chunks(self, start: int, stop: int, row: int = 1) -> Iterator[tuple[int, int]]:
        """The (start, count) of the reads that cover a span, whole rows at a time."""
        step = max(row, self.chunk // row * row)
        for at in range(start, stop, step):
            yield at, min(step, stop - at)

    def stream(self, scratch: Scratch, plan: TensorPlan, start: int, stop: int, row: int = 1) -> Iterator[Chunk]:
        """A span for a kernel that goes over it once: whole where everything is at hand in memory or files, else chunk by chunk."""
        refs = [*plan.inputs, *([plan.base] if plan.base else [])]
        if not self.kernels.use_files or any(ref.at_hand(start) is None for ref in refs):
            yield from (self.read(scratch, plan, *chunk) for chunk in self.chunks(start, stop, row))
            return
        data: list[Any] = [ref.at_hand(start) for ref in refs]
        dtypes = [ref.dtype for ref in refs]
        window = scratch.take("window", len(refs) * min(WINDOW, 8 * self.chunk))
        if plan.base:
            yield Chunk(start, stop - start, data[:-1], dtypes[:-1], data[-1], dtypes[-1], window)
        else:
            yield Chunk(start, stop - start, data, dtypes, window=window)
        self.moved((stop - start) * sum(DTYPES[dtype].itemsize for dtype in dtypes))

    def read(self, scratch: Scratch, plan: TensorPlan, start: int, count: int) -> Chunk:
        """The same run of elements of the base and of each input."""
        return self.read_pieces(scratch, plan, [(start, count)])

    def read_pieces(self, scratch: Scratch, plan: TensorPlan, pieces: Sequence[tuple[int, int]]) -> Chunk:
        """Several runs of elements, each a (start, count), one after another in one chunk."""
        data = [self._fill(scratch, f"input{i}", ref, pieces) for i, ref in enumerate(plan.inputs)]
        base = None if plan.base is None else self._fill(scratch, "base", plan.base, pieces)
        count = sum(size for _, size in pieces)
        return Chunk(pieces[0][0], count, data, [r.dtype for r in plan.inputs], base, plan.base.dtype if plan.base else "F32")

    def _fill(self, scratch: Scratch, name: str, ref: TensorRef, pieces: Sequence[tuple[int, int]]) -> Bytes:
        width = DTYPES[ref.dtype].itemsize
        out = scratch.take(name, sum(count for _, count in pieces) * width)
        at = 0
        for start, count in pieces:
            ref.read_into(start, out[at : at + count * width])
            at += count * width
        self.moved(at)
        return out

    def check(self, plan: TensorPlan, flags: int, only: tuple[int, ...] | None = None) -> None:
        """Refuse inputs that cannot be read, non-finite inputs by name, and results that the output type cannot hold."""
        if flags & READ_BIT:
            self._refuse_unreadable(plan)
        if not flags or self.allow_nonfinite:
            return
        index = list(range(len(plan.inputs)) if only is None else only)
        names = [f"'{plan.labels[i]}'" if i < len(plan.labels) else f"input {i}" for k, i in enumerate(index) if flags >> k & 1]
        if flags & BASE_BIT:
            names.insert(0, "the base")
        if names:
            raise NonFiniteError(
                f"{plan.name} of {' and '.join(names)} holds NaN or infinity; fix it, or pass --allow-nonfinite (allow_nonfinite=True)"
            )
        if flags & OUTPUT_BIT:
            raise too_large(plan)

    def _refuse_unreadable(self, plan: TensorPlan) -> None:
        """Read the inputs once more, for the error that says which of them ends early or cannot be read, and why."""
        own = Scratch()
        for at, count in self.chunks(0, plan.count):
            self.read(own, plan, at, count)
        raise CheckpointError(f"{plan.name}: an input could not be read at first, and then could; run again on a disk that is sound")

    def transform(self, scratch: Scratch, plan: TensorPlan, start: int, stop: int, compute: Compute) -> None:
        """Let a kernel that goes over its inputs once make the output of a span, and store it."""
        for chunk in self.stream(scratch, plan, start, stop):
            self.store(scratch, plan, chunk, compute)

    def store(self, scratch: Scratch, plan: TensorPlan, chunk: Chunk, compute: Compute) -> None:
        """Let a kernel fill the output for one chunk, in its place or in a buffer that is handed over, and check it."""
        dtype = plan.dtype if plan.dtype in KERNEL_OUTPUTS else "F32"
        with self.sink.room(plan.name, chunk.start, chunk.count) as room:
            if room is not None and self.kernels.use_files and dtype == plan.dtype:
                self.check(plan, compute(chunk, room, dtype))
                self.moved(chunk.count * DTYPES[dtype].itemsize)
                return
        out = scratch.take("output", chunk.count * DTYPES[dtype].itemsize)
        self.check(plan, compute(chunk, out, dtype))
        stored = out
        if dtype != plan.dtype:
            stored, too_large = _narrow(out, plan.dtype)
            self.check(plan, OUTPUT_BIT if too_large else 0)
        self.sink.write(plan.name, chunk.start, stored)
        self.moved(len(stored))


def too_large(plan: TensorPlan) -> CompatibilityError:
    """The error for a result that the output type cannot hold."""
    word = DTYPES[plan.dtype].torch
    return CompatibilityError(f"{plan.name}: a merged value does not fit {word}; set out_dtype to bfloat16 or float32")


def rounded(kernels: Kernels, values: Bytes, dtype: str, to: str) -> tuple[Bytes, bool]:
    """Values of one floating type in another, and whether all of them fit."""
    count, passing = len(values) // DTYPES[dtype].itemsize, to if to in KERNEL_OUTPUTS else "F32"
    out = np.empty(count * DTYPES[passing].itemsize, np.uint8)
    flags = kernels.sum(Chunk(0, count, [values], [dtype]), np.ones(1), out, passing)
    stored, over = (out, False) if passing == to else _narrow(out, to)
    return stored, not (flags & OUTPUT_BIT or over)


def spans(count: int, row: int = 1) -> list[tuple[int, int]]:
    """The units of work of a tensor, whole rows each."""
    step = max(row, SPAN // row * row)
    return [(at, min(at + step, count)) for at in range(0, count, step)]


def row_length(shape: tuple[int, ...]) -> int:
    """Elements of a row: all but the first axis of a matrix or more, the whole of a vector."""
    size = int(np.prod(shape[1:], dtype=np.int64)) if len(shape) > 1 else int(np.prod(shape, dtype=np.int64))
    return max(size, 1)


def last_axis(shape: tuple[int, ...]) -> int:
    """Elements along the last axis."""
    return max(shape[-1], 1) if shape else 1


def total(results: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The sum in the order of the spans, so that the rounding is the same for any number of threads."""
    summed = results[0].copy()
    for result in results[1:]:
        summed += result
    return summed


def _narrow(values: Bytes, dtype: str) -> tuple[Bytes, bool]:
    """float32 bytes as one of the 8-bit types, which torch rounds; and whether a value rounds to more than the type holds."""
    import torch

    wide = torch.from_numpy(values.view(np.float32))
    kind = getattr(torch, DTYPES[dtype].torch)
    # halfway from the largest value to where the next one would be
    limit = torch.finfo(kind).max + 2 ** _LAST_STEP[dtype] / 2
    return np.asarray(wide.to(kind).view(torch.uint8).numpy()), bool((wide.abs() >= limit).any())


def options_of(part: Any, options: Any) -> dict[str, Any]:
    """Those of a part's options that a mapping holds."""
    return {name: options[name] for name in spec_of(part).options if name in options}
