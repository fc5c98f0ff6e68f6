"""How several fine-tunes of one base get in each other's way, by layer and by kind of module.

One pass over the bytes: inner products of the task vectors, what of them meets with opposite signs, and how much of their size each
way of combining keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, combinations_with_replacement
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.tensors import Checkpoint, TensorRef
from ..errors import CompatibilityError, NonFiniteError
from .walk import Floats, Group, Grouped, Progress, Reader, match, walk

Bools = NDArray[np.bool_]
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
        return Meeting(*map(add, vars(self).values(), vars(other).values()))

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


def nothing(members: int) -> Meeting:
    """The sums of no elements."""
    pairs = np.zeros((members, members))
    return Meeting(0, 0.0, pairs, pairs, pairs, np.zeros(members), np.zeros(len(WAYS)), pairs, pairs)


@dataclass(frozen=True)
class Interference(Grouped[Meeting]):
    """How the task vectors of several members meet, in sums of tensors.

    Attributes:
        groups: one a kind of module and layer, in the order of the base.
        skipped: tensors that were not compared, each with the reason.
        labels: of the members.
    """

    labels: tuple[str, ...] = ()


def interfere(
    base: Checkpoint,
    members: Sequence[Checkpoint],
    *,
    spectra: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Interference:
    """Compare the task vectors of two or more members, over every floating tensor that all have in one shape.

    Args:
        base: the checkpoint that the members were tuned from.
        members: checkpoints, one at least.
        spectra: compare the leading singular directions of matrices too, which needs whole matrices and their eigenvectors.
        threads: tensors at a time, by default one a core and at most 8; the numbers do not depend on it.
        progress: called with what is done and what there is to do, in bytes.

    Raises:
        CompatibilityError: where there is nothing to compare.
        NonFiniteError: for NaN and infinity.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> base, a, b = (open_checkpoint({"w": np.array(v, np.float32)}) for v in ([0.0, 0.0], [3.0, 4.0], [3.0, -4.0]))
    >>> found = interfere(base, [a, b]).total.sums
    >>> round(found.cosine(0, 1), 2), found.conflict(0, 1), found.keeps("mean")
    (-0.28, 0.5, 0.6)
    """
    models = (base, *members)

    def refuse(found: Sequence[TensorRef | None]) -> str | None:
        if None in found:
            return f"missing in '{models[found.index(None)].label}'"
        return None if all(ref is None or ref.floating for ref in found) else "not floating point"

    tensors, skipped = match(base, models, refuse)
    if not tensors:
        raise CompatibilityError(
            f"'{base.label}' and its fine-tunes have no floating tensor of one name and shape; check that it is their base"
        )
    for member in members:
        skipped |= {name: f"only in '{member.label}'" for name in member if name not in base and name not in base.aliases}
    groups = walk(tensors, lambda tensor: _meeting(tensor, spectra), threads=threads, progress=progress)
    return Interference(groups, skipped, tuple(member.label for member in members))


def _meeting(tensor: Reader, spectra: bool) -> Meeting:
    n, shape = len(tensor.refs) - 1, tensor.refs[0].shape
    sums, edges, room = nothing(n), _edges(tensor), np.empty((n, tensor.width))
    for block in tensor.blocks():
        _make_deltas(block, tensor)
        sums += _block_meeting(block[0], block[1:], edges, room[:, : block.shape[1]])
    if spectra and len(shape) == 2 and min(shape) > 1 and sums.gram.any():
        overlap, chance = _overlaps(tensor)
        sums += replace(nothing(n), overlap=overlap, chance=chance, matrices=1)
    return sums


def _make_deltas(values: Floats, tensor: Reader) -> Floats:
    """From the values of base and members, in place, the members' task vectors, (members, elements)."""
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        who = f"model {first} of those compared" if first else "the base"
        raise NonFiniteError(f"{tensor.refs[first].name} of {who} holds NaN or infinity; fix it first")
    values[1:] -= values[0]
    return values[1:]


def _edges(tensor: Reader) -> Floats:
    """The magnitude above which each member's largest changes lie, from a sample of pieces spread over the tensor."""
    count = tensor.refs[0].count
    pieces, size = (1, count) if count <= _SAMPLE else (16, _SAMPLE // 16)
    starts = np.linspace(0, count - size, pieces).astype(int).tolist()
    changes = np.abs(np.concatenate([_make_deltas(tensor.read(at, at + size), tensor) for at in starts], axis=1))
    if not count:
        return np.zeros(len(changes))
    place = changes.shape[1] - max(1, int(_TRIM * changes.shape[1]))
    return np.asarray(np.partition(changes, place, axis=1)[:, place])


def _block_meeting(base: Floats, deltas: Floats, edges: Floats, room: Floats) -> Meeting:
    """room: (members, elements), to be overwritten, as fresh memory costs more than the arithmetic."""
    n = len(deltas)
    gram, both, opposite = np.zeros((3, n, n))
    up = deltas > 0
    moved = up | (deltas < 0)
    for i, j in combinations_with_replacement(range(n), 2):
        common = moved[i] & moved[j]
        gram[i, j] = gram[j, i] = deltas[i] @ deltas[j]
        both[i, j] = both[j, i] = np.count_nonzero(common)
        opposite[i, j] = opposite[j, i] = np.count_nonzero(common & (up[i] != up[j]))
    total, sizes = deltas.sum(0), np.abs(deltas, out=room)
    summed, largest, large = float(total @ total), sizes.max(0), sizes >= edges[:, None]
    elected = _elected(total, sizes, up, moved)
    sizes *= large
    deltas *= large
    trimmed = _elected(deltas.sum(0), sizes, up, moved & large)
    kept = np.array([summed / n**2, summed, trimmed, elected, float(largest @ largest)])
    return replace(
        nothing(n), count=len(base), base=float(base @ base), gram=gram, both=both, opposite=opposite, changed=both.diagonal(), kept=kept
    )


def _elected(total: Floats, sizes: Floats, up: Bools, moved: Bools) -> float:
    """The squared norm of the mean, at each place, of the entries that have the sign of their total.

    Their sum is half of |total| + the sum of all sizes, as the total is what they have more than the others.
    """
    voters = ((up == (total >= 0)) & moved).sum(0, dtype=np.float32)
    means = (np.abs(total) + sizes.sum(0)) / (2 * np.maximum(voters, 1))
    return float(means @ means)


def _overlaps(tensor: Reader) -> tuple[Floats, Floats]:
    """For each pair, the mean over both sides of |U_i' U_j|^2 / the smaller rank, and what random directions give."""
    deltas = _make_deltas(tensor.read(0, tensor.refs[0].count), tensor).reshape(-1, *tensor.refs[0].shape)
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

    def plain(groups: Iterable[Group[Meeting]]) -> list[dict[str, Any]]:
        return [group_dict(group) for group in groups]

    return {
        "members": list(found.labels),
        "total": group_dict(found.total),
        "layers": plain(found.by_layer()),
        "kinds": plain(found.by_kind()),
        "groups": plain(found.groups),
        "skipped": dict(found.skipped),
    }


def group_dict(group: Group[Meeting]) -> dict[str, Any]:
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
