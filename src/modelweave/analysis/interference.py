"""How several fine-tunes of one base get in each other's way, by layer and by kind of module.

One pass over the bytes: inner products of the task vectors, what of them meets with opposite signs, and how much of their size each
way of combining keeps. All are sums over elements, so that rows add up to any grouping.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.decode import decode
from ..checkpoints.layers import find_layout
from ..checkpoints.tensors import Checkpoint, TensorRef
from ..errors import CompatibilityError, NonFiniteError
from .diff import CHUNK, kind_of, shape_text

Floats = NDArray[np.float64]
WAYS = ("mean", "sum", "ties", "elected mean", "magmax")
"""mean: linear. sum: task arithmetic at scale 1. ties: density 0.2, thresholds from a sample. elected mean: ties at density 1."""
_TRIM = 0.2
_SAMPLE = 1 << 15
SPECTRUM = 0.9
"""Share of a change's energy that its leading singular directions must hold to be compared."""
_RANK = 64


@dataclass(frozen=True)
class Meeting:
    """Sums over elements. base: of the base's squares. gram: (n, n) inner products of the task vectors. both, opposite: (n, n) counts of
    elements that two members change, and change in opposite directions. changed: (n,) elements that a member changes. kept: squared
    norms of what each of WAYS makes of the members. overlap, chance: (n, n) sums over matrices of the shared part of the
    leading singular directions, and of what random ones would share; matrices: how many."""

    count: int
    base: float
    gram: Floats
    both: Floats
    opposite: Floats
    changed: Floats
    kept: Floats
    overlap: Floats
    chance: Floats
    matrices: int = 0

    def __add__(self, other: Meeting) -> Meeting:
        mine, theirs = vars(self), vars(other)
        return Meeting(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def norms(self) -> Floats:
        """Of the task vectors, (n,)."""
        return np.sqrt(np.diag(self.gram))

    @property
    def relative(self) -> Floats:
        """norm(task vector) / norm(base), (n,)."""
        return self.norms / math.sqrt(self.base) if self.base else np.where(self.norms > 0, math.inf, 0.0)

    def cosine(self, i: int, j: int) -> float | None:
        """Between two task vectors; None where one is zero."""
        length = self.norms[i] * self.norms[j]
        return float(self.gram[i, j] / length) if length else None

    def conflict(self, i: int, j: int) -> float | None:
        """Of the elements that both change, the share where they pull in opposite directions."""
        return float(self.opposite[i, j] / self.both[i, j]) if self.both[i, j] else None

    def overlap_of(self, i: int, j: int) -> float | None:
        """Mean overlap of the leading singular directions; None where no matrix was decomposed."""
        return float(self.overlap[i, j]) / self.matrices if self.matrices else None

    def chance_of(self, i: int, j: int) -> float | None:
        """What random directions of the same numbers would share."""
        return float(self.chance[i, j]) / self.matrices if self.matrices else None

    def keeps(self, way: str) -> float | None:
        """norm(merged change) / mean norm of the members' changes; None where nobody changes anything."""
        mean = float(self.norms.mean())
        return math.sqrt(self.kept[WAYS.index(way)]) / mean if mean else None

    def mean_of(self, number: Callable[[int, int], float | None]) -> float | None:
        """The mean of a number over all pairs that have it."""
        found = [x for i, j in combinations(range(len(self.gram)), 2) if (x := number(i, j)) is not None]
        return sum(found) / len(found) if found else None


@dataclass(frozen=True)
class Group:
    """The tensors of one kind of module in one layer; layer None stands outside the layers."""

    layer: int | None
    kind: str
    tensors: int
    sums: Meeting


@dataclass(frozen=True)
class Interference:
    """groups in the order of the base. skipped: tensors that were left out, each with the reason."""

    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> Group:
        return joined("all", None, self.groups)

    def by_layer(self) -> tuple[Group, ...]:
        """One group a layer, what stands outside the layers last."""
        layers: list[int | None] = [*sorted({g.layer for g in self.groups if g.layer is not None})]
        layers += [None] if any(g.layer is None for g in self.groups) else []
        return tuple(joined("all", layer, (g for g in self.groups if g.layer == layer)) for layer in layers)

    def by_kind(self) -> tuple[Group, ...]:
        """One group a kind of module, over all layers."""
        kinds = dict.fromkeys(g.kind for g in self.groups)
        return tuple(joined(kind, None, (g for g in self.groups if g.kind == kind)) for kind in kinds)


def interfere(
    base: Checkpoint,
    members: Sequence[Checkpoint],
    *,
    spectra: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Interference:
    """Compare the task vectors of two or more members, over every floating tensor that all have in one shape.

    spectra: compare the leading singular directions of matrices too, which needs whole matrices and their eigenvectors.
    threads: tensors at a time. progress(done, total): in bytes. Raises CompatibilityError where there is nothing to compare.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> base, a, b = (open_checkpoint({"w": np.array(v, np.float32)}) for v in ([0.0, 0.0], [3.0, 4.0], [3.0, -4.0]))
    >>> found = interfere(base, [a, b]).total.sums
    >>> round(found.cosine(0, 1), 2), found.conflict(0, 1), found.keeps("mean")
    (-0.28, 0.5, 0.6)
    """
    refs, skipped = _common(base, members)
    if not refs:
        raise CompatibilityError(
            f"'{base.label}' and its fine-tunes have no floating tensor of one name and shape; check that it is their base"
        )
    layout = find_layout(refs)
    size, lock, done = sum(ref.nbytes for group in refs.values() for ref in group), Lock(), 0

    def moved(part: int) -> None:
        nonlocal done
        with lock:
            done += part
            if progress is not None:
                progress(done, size)

    groups: dict[tuple[int | None, str], Group] = {}
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8)) as pool:
        for name, sums in zip(refs, pool.map(lambda group: _meeting(group, spectra, moved), refs.values()), strict=True):
            place = layout.places.get(name)
            key = (place.layer if place else None, kind_of(name, layout))
            known = groups.get(key)
            groups[key] = Group(*key, 1, sums) if known is None else Group(*key, known.tensors + 1, known.sums + sums)
    return Interference(tuple(m.label for m in members), tuple(groups.values()), skipped)


def joined(kind: str, layer: int | None, groups: Iterable[Group]) -> Group:
    """Several groups as one."""
    groups = list(groups)
    return Group(layer, kind, sum(g.tensors for g in groups), reduce(Meeting.__add__, (g.sums for g in groups)))


Refs = tuple[TensorRef, ...]
"""The base's tensor, then each member's."""


def _common(base: Checkpoint, members: Sequence[Checkpoint]) -> tuple[dict[str, Refs], dict[str, str]]:
    refs: dict[str, Refs] = {}
    skipped: dict[str, str] = {}
    for name in base:
        found = [c.get(name if name in c else c.aliases.get(name, name)) for c in (base, *members)]
        lacking = next((c.label for c, ref in zip((base, *members), found, strict=True) if ref is None), None)
        there = tuple(ref for ref in found if ref is not None)
        if lacking is not None:
            skipped[name] = f"missing in '{lacking}'"
        elif not all(ref.floating for ref in there):
            skipped[name] = "not floating point"
        elif len({ref.shape for ref in there}) > 1:
            skipped[name] = f"shapes differ: {', '.join(shape_text(ref.shape) for ref in there)}"
        else:
            refs[name] = there
    for member in members:
        skipped |= {name: f"only in '{member.label}'" for name in member if name not in base and name not in base.aliases}
    return refs, skipped


def _meeting(refs: Refs, spectra: bool, moved: Callable[[int], None]) -> Meeting:
    n, count = len(refs) - 1, refs[0].count
    edges = _edges(refs)
    parts = [_chunk(_values(refs, at, min(at + CHUNK, count), moved), edges) for at in range(0, count, CHUNK)]
    zero = np.zeros((n, n))
    start = Meeting(0, 0.0, zero, zero, zero, np.zeros(n), np.zeros(len(WAYS)), zero, zero)
    sums = reduce(Meeting.__add__, parts, start)
    if spectra and len(refs[0].shape) == 2 and min(refs[0].shape) > 1 and sums.gram.any():
        overlap, chance = _overlaps(refs)
        sums = sums + Meeting(0, 0.0, zero, zero, zero, np.zeros(n), np.zeros(len(WAYS)), overlap, chance, 1)
    return sums


def _values(refs: Refs, start: int, stop: int, moved: Callable[[int], None] = lambda size: None) -> Floats:
    """(1 + members, elements): the base and the task vectors."""
    values = np.stack([decode(ref.read(start, stop), ref.dtype).astype(np.float64) for ref in refs])
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        who = f"model {first} of those compared" if first else "the base"
        raise NonFiniteError(f"{refs[first].name} of {who} holds NaN or infinity; mend it first")
    values[1:] -= values[0]
    moved(sum(ref.nbytes * (stop - start) // max(ref.count, 1) for ref in refs))
    return values


def _edges(refs: Refs) -> Floats:
    """The magnitude above which each member's largest changes lie, from a sample of pieces spread over the tensor."""
    count = refs[0].count
    if count <= _SAMPLE:
        values = _values(refs, 0, count)[1:]
    else:
        piece = _SAMPLE // 16
        starts = np.linspace(0, count - piece, 16).astype(int).tolist()
        values = np.concatenate([_values(refs, at, at + piece)[1:] for at in starts], axis=1)
    if not values.shape[1]:
        return np.zeros(len(values))
    place = max(values.shape[1] - max(1, int(_TRIM * values.shape[1])), 0)
    return np.partition(np.abs(values), place, axis=1)[:, place]


def _chunk(values: Floats, edges: Floats) -> Meeting:
    base, deltas = values[0], values[1:]
    up, down = (deltas > 0).astype(np.float32), (deltas < 0).astype(np.float32)
    moved = up + down
    opposite = up @ down.T
    total = deltas.sum(0)
    trimmed = deltas * (np.abs(deltas) >= edges[:, None])
    ways = (total / len(deltas), total, _elected_mean(trimmed), _elected_mean(deltas), np.abs(deltas).max(0))
    zero = np.zeros((len(deltas), len(deltas)))
    return Meeting(
        deltas.shape[1],
        float(base @ base),
        deltas @ deltas.T,
        (moved @ moved.T).astype(np.float64),
        (opposite + opposite.T).astype(np.float64),
        moved.sum(1, dtype=np.float64),
        np.array([float(way @ way) for way in ways]),
        zero,
        zero,
    )


def _elected_mean(deltas: Floats) -> Floats:
    agree = deltas * np.where(deltas.sum(0) >= 0, 1.0, -1.0) > 0
    return np.asarray((deltas * agree).sum(0) / np.maximum(agree.sum(0), 1))


def _overlaps(refs: Refs) -> tuple[Floats, Floats]:
    """For each pair, the mean over both sides of |U_i' U_j|^2 / the smaller rank, and what random directions give."""
    rows, columns = refs[0].shape
    deltas = _values(refs, 0, refs[0].count)[1:].reshape(-1, rows, columns)
    sides = [(_leading(d @ d.T), _leading(d.T @ d)) for d in deltas]
    n = len(deltas)
    overlap, chance = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            for one, other in zip(sides[i], sides[j], strict=True):
                small, large = sorted((one.shape[1], other.shape[1]))
                if small:
                    overlap[i, j] += 0.5 * float(((one.T @ other) ** 2).sum()) / small
                    chance[i, j] += 0.5 * large / len(one)
    return overlap, chance


def _leading(gram: Floats) -> Floats:
    """The eigenvectors that hold the SPECTRUM of the energy, at most _RANK."""
    values, vectors = np.linalg.eigh(gram)
    values = values[::-1].clip(min=0)
    if not values.sum():
        return vectors[:, :0]
    rank = min(int(np.searchsorted(values.cumsum(), SPECTRUM * values.sum())) + 1, _RANK)
    return np.asarray(vectors[:, ::-1][:, :rank])


def as_dict(found: Interference) -> dict[str, Any]:
    """Everything at once, ready for JSON."""

    def plain(groups: Iterable[Group]) -> list[dict[str, Any]]:
        return [group_dict(group) for group in groups]

    return {
        "members": list(found.labels),
        "total": group_dict(found.total),
        "layers": plain(found.by_layer()),
        "kinds": plain(found.by_kind()),
        "groups": plain(found.groups),
        "skipped": dict(found.skipped),
    }


def group_dict(group: Group) -> dict[str, Any]:
    """One group's numbers; pairs in the order 0-1, 0-2, ..., 1-2, ..."""
    sums = group.sums
    pairs = list(combinations(range(len(sums.gram)), 2))
    return {
        "layer": group.layer,
        "kind": group.kind,
        "tensors": group.tensors,
        "parameters": sums.count,
        "norms": sums.norms.tolist(),
        "relative": sums.relative.tolist(),
        "changed": (sums.changed / max(sums.count, 1)).tolist(),
        "cosines": [sums.cosine(i, j) for i, j in pairs],
        "conflicts": [sums.conflict(i, j) for i, j in pairs],
        "overlaps": [sums.overlap_of(i, j) for i, j in pairs],
        "overlaps_by_chance": [sums.chance_of(i, j) for i, j in pairs],
        "keeps": {way: sums.keeps(way) for way in WAYS},
    }
