"""Keep the largest changes (TIES's trim)."""

from __future__ import annotations

from ..part import Ranks, selection


@selection("density", "trim")
def keep_top(count: int, *, density: float, trim: str = "exact") -> Ranks:
    """The `density` share of entries with the largest magnitude, at least one of a tensor that has any.

    k = max(1, int(density * count)), equal magnitudes by place, as mergekit and PEFT do. trim "reference": k = int(density * count) + 1
    and all that equal the smallest of these, as the authors' code does. Source: Yadav et al. 2023, section 3.1, step 1.

    >>> keep_top(10, density=0.25)
    Ranks(first=0, count=2, with_equals=False, by_row=False)
    """
    if trim == "reference":
        return Ranks(0, min(count, int(density * count) + 1), with_equals=True)
    return Ranks(0, count if density >= 1 else min(count, max(1, int(density * count))))
