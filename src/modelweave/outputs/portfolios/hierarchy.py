"""Many components in groups, and the regret bound with and without them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, lgamma, sqrt
from typing import Literal

import numpy as np

from ...errors import ParameterError

Groups = int | Literal["auto"] | Sequence[Sequence[int]] | None
ALONE = 10
"""Up to so many components "auto" makes one group."""


def component_groups(groups: Groups, components: int) -> list[list[int]]:
    """Lists of components. A number: so many runs of neighbours. "auto": one up to 10 components, else ceil(sqrt(components)).

    Raises ParameterError for other words, for numbers out of range, and for lists that miss or repeat a component.

    >>> component_groups(2, 5)
    [[0, 1, 2], [3, 4]]
    """
    if isinstance(groups, str):
        if groups != "auto":
            raise ParameterError(f"groups: expected a number, lists of components, 'auto' or None, got '{groups}'")
        groups = None if components <= ALONE else ceil(sqrt(components))
    if groups is None:
        return [list(range(components))]
    if isinstance(groups, (int, np.integer)):
        if not 1 <= groups <= components:
            raise ParameterError(f"groups: expected a number from 1 to {components}, got {groups}")
        return [part.tolist() for part in np.array_split(np.arange(components), int(groups))]
    parts = [list(map(int, part)) for part in groups]
    if sorted(j for part in parts for j in part) != list(range(components)) or not all(parts):
        raise ParameterError(f"groups: expected lists that hold each of 0 to {components - 1} once, got {parts!r:.80}")
    return parts


def regret_bound(periods: int, components: int, prior: float = 1.0) -> float | None:
    """The most log-wealth that a universal mixture can be behind the best constant mixture, for any returns. None for a prior below 1/2.

    With a the prior: log G(n + k a) + log G(a) - log G(k a) - log G(n + a), G the gamma function. For a = 1 it is
    log C(n + k - 1, k - 1) <= (k - 1) log(n + 1); for a = 1/2 and two components about half of that.

    Wealth is a sum over all sequences of components, so the ratio of wealths is at most that of one sequence, and depends only on how
    often each component occurs in it. x log x - log G(x + a) is convex in x for a >= 1/2, so one component throughout is the worst.
    Source: Cover and Ordentlich 1996, for a = 1 and 1/2.

    >>> round(regret_bound(2, 2), 6), round(regret_bound(2, 2, 0.5), 6)
    (1.098612, 0.980829)
    """
    if prior < 0.5:
        return None
    return lgamma(periods + components * prior) + lgamma(prior) - lgamma(components * prior) - lgamma(periods + prior)


def grouped_bound(periods: int, parts: Sequence[Sequence[int]], prior: float = 1.0) -> float | None:
    """`regret_bound` inside the largest group and, with several groups, across them: the two regrets add up."""
    inside = regret_bound(periods, max(map(len, parts)), prior)
    across = regret_bound(periods, len(parts), prior)
    return None if inside is None or across is None else inside + across
