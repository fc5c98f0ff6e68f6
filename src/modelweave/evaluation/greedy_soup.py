"""Greedy soups: average only the members that help on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, Any]


class Tried(NamedTuple):
    """One candidate: the member's index, the score with it added, and whether it stayed."""

    member: int
    score: float
    accepted: bool


class Soup(NamedTuple):
    """weights: the soup. ingredients: the members in it, in the order they came. log: every candidate."""

    weights: dict[str, Tensor]
    ingredients: tuple[int, ...]
    score: float
    log: tuple[Tried, ...]


def greedy_soup(models: Sequence[State], score: Callable[[State], float], *, strict: bool = False) -> Soup:
    """Go through the members from the best to the worst and keep each that does not lower the score of the average.

    score: of a state dict on held-out data, higher is better; it is called for each member and for each candidate after the first.
    strict: accept only what raises the score, as the authors' code does; the paper accepts equals. Members of equal score
    keep their order. Averages are taken in float64 and rounded once. Tensors of whole numbers come from the best member.
    Source: Wortsman et al. 2022, arXiv 2203.05482, recipe 1.

    >>> import torch
    >>> runs = [{"w": torch.tensor(value)} for value in (3.0, 1.0, 8.0)]
    >>> greedy_soup(runs, lambda state: -abs(float(state["w"]) - 2.2)).ingredients
    (0, 1)
    """
    if not models:
        raise ValueError("greedy_soup: no models were given; expected at least one")
    alone = [float(score(model)) for model in models]
    order = sorted(range(len(models)), key=lambda i: -alone[i])
    chosen, best = [order[0]], alone[order[0]]
    kinds = {name: value.dtype for name, value in models[order[0]].items()}
    mean = {name: value.double() if value.is_floating_point() else value for name, value in models[order[0]].items()}
    log = [Tried(order[0], best, True)]

    def rounded(state: State) -> dict[str, Any]:
        return {name: value.to(kinds[name]) for name, value in state.items()}

    for i in order[1:]:
        share = 1 / (len(chosen) + 1)
        candidate = {name: v + (models[i][name].double() - v) * share if v.is_floating_point() else v for name, v in mean.items()}
        reached = float(score(rounded(candidate)))
        accepted = reached > best if strict else reached >= best
        log.append(Tried(i, reached, accepted))
        if accepted:
            mean, best = candidate, reached
            chosen.append(i)
    return Soup(rounded(mean), tuple(chosen), best, tuple(log))
