"""How two checkpoints differ, by layer and by kind of module, and how their changes from a common base relate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..checkpoints.tensors import Checkpoint, TensorRef
from ..errors import CompatibilityError
from .walk import Floats, Group, Grouped, Progress, Reader, match, walk


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
        return Sums(*map(add, vars(self).values(), vars(other).values()))

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
class Comparison(Grouped[Sums]):
    """How two checkpoints differ, in sums of tensors.

    Attributes:
        groups: one a kind of module and layer, in the order of the first checkpoint.
        skipped: tensors that were not compared, each with the reason.
        with_base: whether there was a base to take task vectors from.
    """

    with_base: bool = False


def compare(
    a: Checkpoint,
    b: Checkpoint,
    base: Checkpoint | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare every floating tensor that both (and the base) have in one shape.

    Args:
        a: the first checkpoint, which differences are relative to.
        b: the second.
        base: where both come from; with it their changes are compared, too.
        threads: tensors at a time, by default one a core and at most 8; the numbers do not depend on it.
        progress: called with what is done and what there is to do, in bytes.

    Raises:
        CompatibilityError: where there is nothing to compare.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> a, b = (open_checkpoint({"w": np.array(v, np.float32)}) for v in ([3.0, 4.0], [3.0, 0.0]))
    >>> compare(a, b).total.sums.relative
    0.8
    """

    def refuse(found: Sequence[TensorRef | None]) -> str | None:
        one, other = found[:2]
        if one is None or other is None:
            return f"only in '{(b if one is None else a).label}'"
        if base is not None and found[2] is None:
            return f"not in the base '{base.label}'"
        if not (one.floating and other.floating):
            return f"not floating point but {one.dtype if not one.floating else other.dtype}"
        return None

    pairs, skipped = match(dict.fromkeys([*a, *b]), (a, b) if base is None else (a, b, base), refuse)
    if not pairs:
        raise CompatibilityError(
            f"'{a.label}' and '{b.label}' have no tensor of one name and shape; check that they are models of one kind"
        )
    return Comparison(walk(pairs, _sums, threads=threads, progress=progress), skipped, base is not None)


def _sums(tensor: Reader) -> Sums:
    with np.errstate(invalid="ignore", over="ignore"):
        return reduce(add, (_block_sums(*block) for block in tensor.blocks()), Sums())


def _block_sums(a: Floats, b: Floats, base: Floats | None = None) -> Sums:
    difference = b - a
    plain = (len(a), float(a @ a), float(b @ b), float(difference @ difference), int(np.count_nonzero(a != b)))
    if base is None:
        return Sums(*plain)
    u, v = a - base, b - base
    moved_u, moved_v = u != 0, v != 0
    both = moved_u & moved_v
    opposite = both & ((u < 0) != (v < 0))
    counts = (int(np.count_nonzero(mask)) for mask in (both, opposite, moved_u, moved_v))
    return Sums(*plain, float(u @ u), float(v @ v), float(u @ v), *counts)


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything at once, ready for JSON but for NaN and infinity."""

    def plain(rows: Iterable[Group[Sums]]) -> list[dict[str, Any]]:
        return [row_dict(row, comparison.with_base) for row in rows]

    return {
        "total": row_dict(comparison.total, comparison.with_base),
        "layers": plain(comparison.by_layer()),
        "kinds": plain(comparison.by_kind()),
        "rows": plain(comparison.groups),
        "skipped": dict(comparison.skipped),
    }


def row_dict(row: Group[Sums], with_base: bool) -> dict[str, Any]:
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
