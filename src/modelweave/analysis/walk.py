"""One walk over the tensors that several checkpoints have in common: what every comparison of checkpoints reads through.

A measure is a sum over elements, so that tensors are read piece by piece, and sums of tensors add up to any grouping: by layer, by kind of
module, over all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from threading import Event, Lock
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.decode import decode
from ..checkpoints.dtypes import DTYPES
from ..checkpoints.layers import Layout, find_layout
from ..checkpoints.tensors import Checkpoint, TensorRef

CHUNK = 1 << 18
"""Elements of a tensor that are read at a time."""
BLOCK = 1 << 16
"""Numbers of all models together that are measured at a time, so that they stay in a core's cache."""

Floats = NDArray[np.float64]
Refs = tuple[TensorRef, ...]
"""One tensor in every checkpoint."""
Progress = Callable[[int, int], None]
"""(done, total), in bytes."""


class Addable(Protocol):
    """Sums over elements."""

    def __add__(self, other: Any, /) -> Any: ...


S = TypeVar("S", bound=Addable)


@dataclass(frozen=True)
class Group(Generic[S]):
    """The tensors of one kind of module in one layer, and what was measured of them. layer: None outside the layers."""

    layer: int | None
    kind: str
    tensors: int
    sums: S


@dataclass(frozen=True)
class Grouped(Generic[S]):
    """groups: in the order of the tensors. skipped: tensors that were not compared, each with the reason."""

    groups: tuple[Group[S], ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> Group[S]:
        return joined("all", None, self.groups)

    def by_layer(self) -> tuple[Group[S], ...]:
        """One group a layer, what stands outside the layers last."""
        layers: list[int | None] = [*sorted({group.layer for group in self.groups if group.layer is not None})]
        layers += [None] if any(group.layer is None for group in self.groups) else []
        return tuple(joined("all", layer, (group for group in self.groups if group.layer == layer)) for layer in layers)

    def by_kind(self) -> tuple[Group[S], ...]:
        """One group a kind of module, over all layers."""
        kinds = dict.fromkeys(group.kind for group in self.groups)
        return tuple(joined(kind, None, (group for group in self.groups if group.kind == kind)) for kind in kinds)


def joined(kind: str, layer: int | None, groups: Iterable[Group[S]]) -> Group[S]:
    """Several groups as one."""
    groups = list(groups)
    return Group(layer, kind, sum(group.tensors for group in groups), reduce(add, (group.sums for group in groups)))


@dataclass(frozen=True)
class Reader:
    """One tensor in every checkpoint, as float64. moved: told the bytes of each chunk that `blocks` has read."""

    refs: Refs
    moved: Callable[[int], None] = lambda size: None

    @property
    def width(self) -> int:
        """Elements of a block, at most."""
        return min(self.refs[0].count, CHUNK, BLOCK // len(self.refs))

    def read(self, start: int, stop: int) -> Floats:
        """The elements [start, stop) of all, (models, elements), in an array of their own."""
        return np.stack([decode(ref.read(start, stop), ref.dtype).astype(np.float64) for ref in self.refs])

    def blocks(self) -> Iterator[Floats]:
        """All elements in turn, (models, elements); each time the same memory, which the caller may overwrite."""
        count, width = self.refs[0].count, self.width
        room = np.empty((len(self.refs), width))
        sizes = [DTYPES[ref.dtype].itemsize for ref in self.refs]
        stored = [np.empty(min(count, CHUNK) * size, np.uint8) for size in sizes]
        for start in range(0, count, CHUNK):
            length = min(CHUNK, count - start)
            for ref, data, size in zip(self.refs, stored, sizes, strict=True):
                ref.read_into(start, data[: length * size])
            for at in range(0, length, width):
                block = room[:, : length - at]
                for ref, values, data, size in zip(self.refs, block, stored, sizes, strict=True):
                    values[:] = decode(data[at * size : (at + len(values)) * size], ref.dtype)
                yield block
            self.moved(length * sum(sizes))


def match(
    names: Iterable[str], checkpoints: Sequence[Checkpoint], refuse: Callable[[Sequence[TensorRef | None]], str | None]
) -> tuple[dict[str, Refs], dict[str, str]]:
    """The tensors that all have in one shape, and the others with the reason. refuse: why some are not compared, before shapes are."""
    pairs: dict[str, Refs] = {}
    skipped: dict[str, str] = {}
    for name in names:
        # under its own name, or as the one that it shares data with
        found = [checkpoint.get(name if name in checkpoint else checkpoint.aliases.get(name, name)) for checkpoint in checkpoints]
        reason, there = refuse(found), tuple(ref for ref in found if ref is not None)
        if reason is None and len({ref.shape for ref in there}) > 1:
            reason = f"shapes differ: {', '.join('x'.join(map(str, ref.shape)) or 'scalar' for ref in there)}"
        if reason is None:
            pairs[name] = there
        else:
            skipped[name] = reason
    return pairs, skipped


def walk(
    tensors: Mapping[str, Refs], measure: Callable[[Reader], S], *, threads: int | None = None, progress: Progress | None = None
) -> tuple[Group[S], ...]:
    """What `measure` finds of each tensor, added up by layer and kind of module, in the tensors' order.

    threads: tensors at a time, by default one a core and at most 8; each holds a few pieces of 256 Ki elements, whatever the model's size.
    The numbers do not depend on it. After an error or an interrupt the workers stop at their next piece.
    """
    total, done = sum(ref.nbytes for refs in tensors.values() for ref in refs), 0
    lock, stopped = Lock(), Event()

    def moved(part: int) -> None:
        nonlocal done
        if stopped.is_set():
            raise InterruptedError
        with lock:
            done += part
            if progress is not None:
                progress(done, total)

    layout = find_layout(tensors)
    groups: dict[tuple[int | None, str], Group[S]] = {}
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
        try:
            for name, sums in zip(tensors, pool.map(lambda refs: measure(Reader(refs, moved)), tensors.values()), strict=True):
                place = layout.places.get(name)
                key = (place.layer if place else None, kind_of(name, layout))
                known = groups.get(key)
                groups[key] = Group(*key, 1, sums) if known is None else Group(*key, known.tensors + 1, known.sums + sums)
        except BaseException:
            stopped.set()
            raise
    return tuple(groups.values())


def kind_of(name: str, layout: Layout) -> str:
    """A tensor's module without its layer, as in "mlp.down_proj"; the stack stands in front when there are several.

    >>> kind_of("h.3.mlp.experts.7.up.weight", find_layout(f"h.{i}.mlp.experts.7.up.weight" for i in range(4)))
    'mlp.experts.*.up'
    """
    place = layout.places.get(name)
    words = name.split(".") if place is None else ["*" if word.isdigit() else word for word in place.rest.split(".")]
    if words[-1] in ("weight", "bias") and len(words) > 1:
        words = words[:-1]
    if place is not None and len(layout.stacks) > 1:
        words = [place.stack, "*", *words]
    return ".".join(words)
