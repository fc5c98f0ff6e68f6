"""Keep the largest changes (TIES's trim)."""

from __future__ import annotations

from ..part import Ranks, selection


@selection("density")
def keep_top(count: int, *, density: float) -> Ranks:
    """The `density` share of entries with the largest magnitude, at least one of a tensor that has any.

    k = max(1, int(density * count)). Source: Yadav et al. 2023, section 3.1, step 1, per tensor as mergekit does.

    >>> keep_top(10, density=0.25)
    Ranks(first=0, count=2)
    """
    return Ranks(0, count if density >= 1 else min(count, max(1, int(density * count))))
