"""Drop changes at random: evenly (DARE), or more often the smaller they are (DELLA)."""

from __future__ import annotations

from ..part import Chance, selection


@selection("density")
def drop_random(count: int, *, density: float) -> Chance:
    """Each entry stays with probability `density`. Source: Yu et al. 2023 (DARE), section 3.2.

    >>> drop_random(10, density=0.3)
    Chance(low=0.3, high=0.3)
    """
    return Chance(density, density)


@selection("density", "epsilon")
def drop_small(count: int, *, density: float, epsilon: float) -> Chance:
    """Each entry stays with a probability from density - epsilon to density + epsilon, by the rank of its magnitude in its row.

    Source: Deep et al. 2024 (DELLA), section 3.1 (MagPrune).

    >>> drop_small(10, density=0.5, epsilon=0.25)
    Chance(low=0.25, high=0.75)
    """
    return Chance(1.0, 1.0) if density >= 1 else Chance(density - epsilon, density + epsilon)
