"""Greedy soups: average only the members that help on held-out data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checkpoints.open import open_checkpoint
from ..checkpoints.tensors import Checkpoint
from ..errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, Any]


class Tried(NamedTuple):
    """One candidate: the member's index, the score with it added, and whether it stayed."""

    member: int
    score: float
    accepted: bool


class Soup(NamedTuple):
    """state: the soup's state dict. ingredients: the members in it, in the order they came. log: every candidate."""

    state: dict[str, Tensor]
    ingredients: tuple[int, ...]
    score: float
    log: tuple[Tried, ...]


def greedy_soup(models: Sequence[Any] | Mapping[str, Any], score: Callable[[State], float], *, strict: bool = False) -> Soup:
    """Go through the members from the best to the worst and keep each that does not lower the score of the average.

    models: paths, hub ids, modules or state dicts, in a list or by name; files are read when they are needed.
    score: of a state dict on held-out data, higher is better; it is called for each member and for each candidate after the first.
    strict: accept only what raises the score, as the authors' code does; the paper accepts equals. Members of equal score
    keep their order. Averages are taken in float64 and rounded once. Tensors of whole numbers come from the best member.
    Raises ParameterError for no models and for scores that are no numbers.
    Source: Wortsman et al. 2022, arXiv 2203.05482, recipe 1.

    >>> import torch
    >>> runs = [{"w": torch.tensor(value)} for value in (3.0, 1.0, 8.0)]
    >>> greedy_soup(runs, lambda state: -abs(float(state["w"]) - 2.2)).ingredients
    (0, 1)
    """
    members = list(models.values()) if isinstance(models, Mapping) else list(models)
    if not members:
        raise ParameterError("greedy_soup: no models were given; expected at least one")

    def scored(state: State, who: str) -> float:
        found = float(score(state))
        if not math.isfinite(found):
            raise ParameterError(f"greedy_soup: the score of {who} is {found}, expected a finite number; mend the score")
        return found

    alone = [scored(state_of(member), f"models[{i}]") for i, member in enumerate(members)]
    order = sorted(range(len(members)), key=lambda i: -alone[i])
    best_state = state_of(members[order[0]])
    chosen, best = [order[0]], alone[order[0]]
    kinds = {name: value.dtype for name, value in best_state.items()}
    mean = {name: value.double() if value.is_floating_point() else value for name, value in best_state.items()}
    log = [Tried(order[0], best, True)]

    def rounded(state: State) -> dict[str, Any]:
        return {name: value.to(kinds[name]) for name, value in state.items()}

    for i in order[1:]:
        share, new = 1 / (len(chosen) + 1), state_of(members[i])
        candidate = {name: v + (new[name].double() - v) * share if v.is_floating_point() else v for name, v in mean.items()}
        reached = scored(rounded(candidate), f"the soup with models[{i}]")
        accepted = reached > best if strict else reached >= best
        log.append(Tried(i, reached, accepted))
        if accepted:
            mean, best = candidate, reached
            chosen.append(i)
    return Soup(rounded(mean), tuple(chosen), best, tuple(log))


def state_of(model: Any) -> State:
    """A model's state dict: itself, a module's, or what is read from a path."""
    if isinstance(model, Mapping) and not isinstance(model, Checkpoint):
        return model
    if hasattr(model, "state_dict"):
        found: State = model.state_dict()
        return found
    return {name: ref.to_torch() for name, ref in open_checkpoint(model).items()}
