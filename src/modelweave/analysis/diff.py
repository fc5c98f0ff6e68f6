"""How two checkpoints differ, by layer and by kind of module, and how their changes from a common base relate.

All statistics are sums over elements, so that tensors are read piece by piece and rows add up to any grouping.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import reduce
from threading import Event, Lock
from typing import Any

import numpy as np

from ..checkpoints.decode import decode
from ..checkpoints.layers import Layout, find_layout
from ..checkpoints.tensors import Checkpoint, TensorRef
from ..errors import CompatibilityError

CHUNK = 1 << 18


@dataclass(frozen=True)
class Sums:
    """Sums over elements in float64. u = a - base and v = b - base are the task vectors; without a base what speaks of them is 0.

    changed: elements where a and b differ. both: where u and v are non-zero; conflicts: where their signs are opposite.
    """

    count: int = 0
    aa: float = 0.0
    bb: float = 0.0
    dd: float = 0.0
    changed: int = 0
    uu: float = 0.0
    vv: float = 0.0
    uv: float = 0.0
    both: int = 0
    conflicts: int = 0
    changed_a: int = 0
    changed_b: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Sums)))

    @property
    def relative(self) -> float:
        """norm(b - a) / norm(a); infinite where only a is zero."""
        if self.dd == 0:
            return 0.0
        return math.sqrt(self.dd / self.aa) if self.aa else math.inf

    @property
    def cosine(self) -> float | None:
        """Between the task vectors; None where one of them is zero."""
        # one square root a factor: the product of the squares can underflow
        length = math.sqrt(self.uu) * math.sqrt(self.vv)
        return self.uv / length if length else None

    @property
    def conflict_share(self) -> float | None:
        """Of the elements that both task vectors change, the share where they pull in opposite directions."""
        return self.conflicts / self.both if self.both else None


@dataclass(frozen=True)
class Row:
    """One kind of module in one layer. layer: None outside the layers. tensors: how many were added up."""

    layer: int | None
    kind: str
    tensors: int
    sums: Sums


@dataclass(frozen=True)
class Comparison:
    """rows: in the order of the first checkpoint. skipped: tensors that were not compared, each with the reason."""

    rows: tuple[Row, ...]
    skipped: Mapping[str, str]
    with_base: bool

    @property
    def total(self) -> Row:
        return added("all", None, self.rows)

    def by_layer(self) -> tuple[Row, ...]:
        """One row a layer, what stands outside the layers last."""
        layers = sorted({row.layer for row in self.rows if row.layer is not None})
        chosen: list[int | None] = [*layers, *([None] if any(row.layer is None for row in self.rows) else [])]
        return tuple(added("all", layer, (row for row in self.rows if row.layer == layer)) for layer in chosen)

    def by_kind(self) -> tuple[Row, ...]:
        """One row a kind of module, over all layers."""
        return tuple(added(kind, None, (row for row in self.rows if row.kind == kind)) for kind in dict.fromkeys(r.kind for r in self.rows))


def compare(
    a: Checkpoint,
    b: Checkpoint,
    base: Checkpoint | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare every floating tensor that both (and the base) have in one shape. progress(done, total): in bytes.

    threads: tensors at a time, by default one a core and at most 8; each holds a few pieces of 256 Ki elements, whatever the
    model's size. The numbers do not depend on it.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> a, b = (open_checkpoint({"w": np.array(v, np.float32)}) for v in ([3.0, 4.0], [3.0, 0.0]))
    >>> compare(a, b).total.sums.relative
    0.8
    """
    pairs, skipped = _pairs(a, b, base)
    if not pairs:
        raise CompatibilityError(
            f"'{a.label}' and '{b.label}' have no tensor of one name and shape; check that they are models of one kind"
        )
    layout = find_layout(pairs)
    found: dict[tuple[int | None, str], tuple[int, Sums]] = {}
    for name, more in zip(pairs, _all_sums(list(pairs.values()), threads, progress), strict=True):
        place = layout.places.get(name)
        key = (place.layer if place else None, kind_of(name, layout))
        tensors, sums = found.get(key, (0, Sums()))
        found[key] = tensors + 1, sums + more
    rows = tuple(Row(layer, kind, tensors, sums) for (layer, kind), (tensors, sums) in found.items())
    return Comparison(rows, skipped, base is not None)


def tensor_sums(a: TensorRef, b: TensorRef, base: TensorRef | None = None, moved: Callable[[int], None] | None = None) -> Sums:
    """The sums of one tensor. moved: called with the bytes of each piece that was read."""
    sums = Sums()
    for start in range(0, a.count, CHUNK):
        stop = min(start + CHUNK, a.count)
        pieces = [decode(ref.read(start, stop), ref.dtype).astype(np.float64) for ref in (a, b, base) if ref is not None]
        with np.errstate(invalid="ignore", over="ignore"):
            sums += _chunk_sums(*pieces)
        if moved is not None:
            moved(sum(ref.nbytes * (stop - start) // ref.count for ref in (a, b, base) if ref is not None))
    return sums


def _chunk_sums(a: Any, b: Any, base: Any = None) -> Sums:
    difference = b - a
    changed = int(np.count_nonzero(a != b))
    plain = (len(a), float(a @ a), float(b @ b), float(difference @ difference), changed)
    if base is None:
        return Sums(*plain)
    u, v = a - base, b - base
    moved_u, moved_v = u != 0, v != 0
    both = moved_u & moved_v
    opposite = both & ((u < 0) != (v < 0))
    counts = (int(np.count_nonzero(mask)) for mask in (both, opposite, moved_u, moved_v))
    return Sums(*plain, float(u @ u), float(v @ v), float(u @ v), *counts)


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


def added(kind: str, layer: int | None, rows: Iterable[Row]) -> Row:
    """Several rows as one."""
    rows = list(rows)
    return Row(layer, kind, sum(row.tensors for row in rows), reduce(Sums.__add__, (row.sums for row in rows), Sums()))


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything at once, ready for JSON but for NaN and infinity."""

    def plain(rows: Iterable[Row]) -> list[dict[str, Any]]:
        return [row_dict(row, comparison.with_base) for row in rows]

    return {
        "total": row_dict(comparison.total, comparison.with_base),
        "layers": plain(comparison.by_layer()),
        "kinds": plain(comparison.by_kind()),
        "rows": plain(comparison.rows),
        "skipped": dict(comparison.skipped),
    }


def row_dict(row: Row, with_base: bool) -> dict[str, Any]:
    """One row's numbers; shares are of all elements, `conflicts` of those that both task vectors change."""
    sums, count = row.sums, row.sums.count or 1
    plain = {
        "layer": row.layer,
        "kind": row.kind,
        "tensors": row.tensors,
        "parameters": sums.count,
        "norm_a": math.sqrt(sums.aa),
        "norm_b": math.sqrt(sums.bb),
        "norm_difference": math.sqrt(sums.dd),
        "relative": sums.relative,
        "changed": sums.changed / count,
    }
    if not with_base:
        return plain
    return plain | {
        "task_norm_a": math.sqrt(sums.uu),
        "task_norm_b": math.sqrt(sums.vv),
        "cosine": sums.cosine,
        "conflicts": sums.conflict_share,
        "changed_a": sums.changed_a / count,
        "changed_b": sums.changed_b / count,
    }


Refs = tuple[TensorRef, TensorRef, TensorRef | None]


def _all_sums(pairs: Sequence[Refs], threads: int | None, progress: Callable[[int, int], None] | None) -> list[Sums]:
    """The sums of each tensor, in the same order; after an error or an interrupt the workers stop at their next piece."""
    size, done = sum(ref.nbytes for refs in pairs for ref in refs if ref is not None), 0
    lock, stopped = Lock(), Event()

    def moved(part: int) -> None:
        nonlocal done
        if stopped.is_set():
            raise InterruptedError
        with lock:
            done += part
            if progress is not None:
                progress(done, size)

    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
        try:
            return list(pool.map(lambda refs: tensor_sums(refs[0], refs[1], refs[2], moved), pairs))
        except BaseException:
            stopped.set()
            raise


def _pairs(a: Checkpoint, b: Checkpoint, base: Checkpoint | None) -> tuple[dict[str, Refs], dict[str, str]]:
    pairs: dict[str, Refs] = {}
    skipped: dict[str, str] = {}
    for name in dict.fromkeys([*a, *b]):
        one, other = _found(a, name), _found(b, name)
        ground = None if base is None else _found(base, name)
        if one is None or other is None:
            skipped[name] = f"only in '{(b if one is None else a).label}'"
        elif base is not None and ground is None:
            skipped[name] = f"not in the base '{base.label}'"
        elif not (one.floating and other.floating):
            skipped[name] = f"not floating point but {one.dtype if not one.floating else other.dtype}"
        elif len({ref.shape for ref in (one, other, ground) if ref is not None}) > 1:
            shapes = [shape_text(ref.shape) for ref in (one, other, ground) if ref is not None]
            skipped[name] = f"shapes differ: {', '.join(shapes)}"
        else:
            pairs[name] = (one, other, ground)
    return pairs, skipped


def _found(checkpoint: Checkpoint, name: str) -> TensorRef | None:
    """The tensor under its own name, or the one that it shares data with."""
    stored = name if name in checkpoint else checkpoint.aliases.get(name, name)
    return checkpoint.get(stored)


def shape_text(shape: tuple[int, ...]) -> str:
    """As in "4096x4096"; "scalar" without an axis."""
    return "x".join(map(str, shape)) or "scalar"
