"""Drop the few largest and the many smallest changes (Model Breadcrumbs)."""

from __future__ import annotations

from ..part import Ranks, selection


@selection("density", "gamma", "unit", row=True)
def cut_outliers(count: int, row: int, *, density: float, gamma: float, unit: str = "tensor") -> Ranks:
    """Drop the `gamma` share with the largest magnitude, then keep the next `density` share.

    Where gamma + density exceeds 1, fewer of the largest are dropped, so that the density holds; density 1 and a single entry keep all.
    unit: `tensor` ranks over the tensor, as the paper's text and mergekit; `row` within each row of the last axis, as the authors' code.
    Source: Davari and Belilovsky 2023, section 3.

    >>> cut_outliers(10, 5, density=0.4, gamma=0.2)
    Ranks(first=2, count=4, with_equals=False, by_row=False)
    """
    if density >= 1 or count == 1:
        return Ranks(0, count)
    size = row if unit == "row" else count
    kept = int(density * size)
    return Ranks(min(int(gamma * size), size - kept), kept, by_row=unit == "row")
