"""Drop the few largest and the many smallest changes (Model Breadcrumbs)."""

from __future__ import annotations

from ..part import Ranks, selection


@selection("density", "gamma")
def cut_outliers(count: int, *, density: float, gamma: float) -> Ranks:
    """Drop the `gamma` share with the largest magnitude, then keep the next `density` share.

    Where gamma + density exceeds 1, fewer of the largest are dropped, so that the density holds; density 1 and a single entry keep all.
    Source: Davari and Belilovsky 2023, section 3; per tensor as mergekit does.

    >>> cut_outliers(10, density=0.4, gamma=0.2)
    Ranks(first=2, count=4)
    """
    if density >= 1 or count == 1:
        return Ranks(0, count)
    kept = int(density * count)
    return Ranks(min(int(gamma * count), count - kept), kept)
