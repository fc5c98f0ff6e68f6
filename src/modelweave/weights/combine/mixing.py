"""How selected deltas become one: the weighted sum, and the votes on signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..part import Members, Mix, column, mixing


@mixing("normalize")
def weighted_sum(members: Members, *, normalize: bool = False) -> Mix:
    """sum_j w_j d_j, divided by sum_j w_j when normalized (not when that sum is 0). Source: Ilharco et al. 2022, section 2.

    >>> weighted_sum([{"weight": 1.0}, {"weight": 3.0}], normalize=True)
    Mix(weights=(1.0, 3.0), voices=(), elect=False, divide=True, zero_sign=1.0, floor=-inf, divisor=4.0, shares=())
    """
    weights = column(members, "weight")
    total = float(weights.sum())
    return Mix(tuple(weights.tolist()), divide=normalize, divisor=total if abs(total) >= 1e-8 else 1.0)


@mixing("normalize", "votes", "zero_sign", "divisor")
def sign_consensus(members: Members, *, normalize: bool, votes: str = "weighted", zero_sign: str = "plus", divisor: str = "weights") -> Mix:
    """sum of w_j d_j over the j whose sign is that of sum_j w_j d_j, divided by the sum of their w_j when normalized.

    votes "plain": the elected sign is that of sum_j d_j. zero_sign: what a sum of 0 elects, `plus` or the `majority` of all places.
    divisor "count": divided by the number of those that agree. Source: Yadav et al. 2023 (TIES), section 3.1, steps 2 and 3;
    the defaults are mergekit's, the others those of the authors' code and of PEFT.
    """
    weights, ones = tuple(column(members, "weight").tolist()), (1.0,) * len(members)
    return Mix(
        weights,
        voices=weights if votes == "weighted" else ones,
        elect=True,
        divide=normalize,
        zero_sign=1.0 if zero_sign == "plus" else None,
        shares=weights if divisor == "weights" else ones,
    )


@mixing(energy=True)
def energy_consensus(members: Members, energy: NDArray[np.float64]) -> Mix:
    """Members weighted by the mean square of their selected delta; only those that agree with the sign of the plain sum count.

    Source: Wan et al. 2024 (SCE), equations 4 to 6.
    """
    total = float(energy.sum())
    weights = energy / total if total >= 1e-6 else np.full(len(members), 1 / len(members))
    return Mix(tuple(weights.tolist()), voices=(1.0,) * len(members), elect=True, divide=True, floor=1e-6)
