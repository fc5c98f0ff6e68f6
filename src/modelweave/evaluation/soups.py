"""Greedy soups: average only the members that help on held-out data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checkpoints.memory import MemoryCheckpoint
from ..checkpoints.tensors import Checkpoint
from ..engine.given import named, open_members
from ..engine.members import with_aliases
from ..errors import CompatibilityError, ParameterError

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, Any]


class Tried(NamedTuple):
    """One candidate: the member's index, the score with it added, and whether it stayed."""

    member: int
    score: float
    accepted: bool


class Soup(NamedTuple):
    """A soup and how it came about.

    Attributes:
        state: the soup's state dict.
        ingredients: the numbers of the members in it, in the order they came.
        score: of the soup.
        log: every candidate: its member's number, the score with it added, and whether it stayed.
    """

    state: dict[str, Tensor]
    ingredients: tuple[int, ...]
    score: float
    log: tuple[Tried, ...]

    def __repr__(self) -> str:
        return f"Soup(ingredients={list(self.ingredients)}, score={self.score:.6g}, {len(self.state)} tensors, {len(self.log)} tried)"


def greedy_soup(models: Sequence[Any] | Mapping[str, Any], score: Callable[[State], float], *, strict: bool = False) -> Soup:
    """Go through the members from the best to the worst and keep each that does not lower the score of the average.

    Members of equal score keep their order. Averages are taken in float64 and rounded once. Tensors of whole numbers come from the best
    member. Source: Wortsman et al. 2022, arXiv 2203.05482, recipe 1.

    Args:
        models: paths, hub ids, modules or state dicts, in a list or by name; files are read when they are needed.
        score: of a state dict on held-out data, higher is better; called for each member and for each candidate after the first.
        strict: accept only what raises the score, as the authors' code does; the paper accepts equals.

    Returns:
        The soup's state dict, its members and every candidate's score.

    Raises:
        CompatibilityError: for no models and for models that differ in names or shapes.
        ParameterError: for scores that are no numbers, and for a score that changes a member, as one does that loads states into it.

    >>> import torch
    >>> runs = [{"w": torch.tensor(value)} for value in (3.0, 1.0, 8.0)]
    >>> greedy_soup(runs, lambda state: -abs(float(state["w"]) - 2.2)).ingredients
    (0, 1)
    """
    members = open_members(named(models, "greedy_soup"))
    for member in members[1:]:
        _check_alike(member, members[0])
    before = [_fingerprint(member) for member in members]

    def scored(state: dict[str, Any], who: str) -> float:
        found = _number(score(with_aliases(state, members[0].aliases)), who)
        changed = next((i for i, member in enumerate(members) if _fingerprint(member) != before[i]), None)
        if changed is not None:
            raise ParameterError(f"greedy_soup: the score changes models[{changed}]; let it load states into a module of its own")
        return found

    alone = [scored(_state(member, members[0]), f"models[{i}]") for i, member in enumerate(members)]
    order = sorted(range(len(members)), key=lambda i: -alone[i])
    first = _state(members[order[0]], members[0])
    chosen, best = [order[0]], alone[order[0]]
    kinds = {name: value.dtype for name, value in first.items()}
    mean = {name: value.double() if value.is_floating_point() else value for name, value in first.items()}
    log = [Tried(order[0], best, True)]

    def rounded(state: State) -> dict[str, Any]:
        return {name: value.to(kinds[name], copy=True) for name, value in state.items()}

    for i in order[1:]:
        share, new = 1 / (len(chosen) + 1), _state(members[i], members[0])
        candidate = {name: v + (new[name].double() - v) * share if v.is_floating_point() else v for name, v in mean.items()}
        reached = scored(rounded(candidate), f"the soup with models[{i}]")
        accepted = reached > best if strict else reached >= best
        log.append(Tried(i, reached, accepted))
        if accepted:
            mean, best = candidate, reached
            chosen.append(i)
    return Soup(with_aliases(rounded(mean), members[0].aliases), tuple(chosen), best, tuple(log))


def _check_alike(member: Checkpoint, first: Checkpoint) -> None:
    """Raise CompatibilityError unless both have the same tensors."""
    for one, other in ((member, first), (first, member)):
        lacking = next((name for name in one if name not in other and name not in other.aliases), None)
        if lacking is not None:
            raise CompatibilityError(f"greedy_soup: '{other.label}' lacks {lacking}, '{one.label}' has it; give runs of one model")
    for name, ref in first.items():
        shape = member[member.aliases.get(name, name)].shape
        if ref.shape != shape:
            raise CompatibilityError(
                f"greedy_soup: {name} of '{member.label}' has the shape {shape}, '{first.label}' has {ref.shape}; give runs of one model"
            )


def _number(value: Any, who: str) -> float:
    try:
        found = math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, RuntimeError):
        found = math.nan
    if not math.isfinite(found):
        raise ParameterError(f"greedy_soup: the score of {who} is {value!r:.60}, expected a finite number; fix the score")
    return found


def _state(member: Checkpoint, names: Iterable[str]) -> dict[str, Any]:
    return {name: member[member.aliases.get(name, name)].to_torch() for name in names}


def _fingerprint(member: Checkpoint) -> str | None:
    """Of a member in memory, which a score might change."""
    return member.fingerprint() if isinstance(member, MemoryCheckpoint) else None
