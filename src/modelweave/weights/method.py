"""The row of a merge method: what it composes, and what must be at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..row import Row

Property = Literal["order_free", "exact_on_identical", "in_span", "seeded", "zero_delta_is_base", "single_is_itself"]

_BASES = {
    "required": "a base, which changes are taken from",
    "optional": "a base is optional",
    "input": "no base; one that is given counts as a model",
}


@dataclass(frozen=True)
class Needs:
    """What must be at hand.

    Attributes:
        base: `required`: deltas are taken from it. `optional`: likewise when given. `input`: a base is an ordinary member. `first`:
            required, and the first of the inputs instead of what deltas are taken from.
        min_models: the least number of members, without the base.
        max_models: the largest number of members, without the base; None: any.

    >>> Needs("required", max_models=2).models
    '1 to 2'
    """

    base: Literal["required", "optional", "input", "first"] = "input"
    min_models: int = 1
    max_models: int | None = None

    @property
    def models(self) -> str:
        """How many models a method takes: without the base, but with one that is the first of them.

        >>> Needs().models, Needs(min_models=2, max_models=2).models, Needs("first", 1, 1).models
        ('1 or more', '2', '2')
        """
        if self.base == "first":
            return "2"
        if self.max_models is None:
            return f"{self.min_models} or more"
        return str(self.min_models) if self.min_models == self.max_models else f"{self.min_models} to {self.max_models}"


class Rescaling(NamedTuple):
    """factor: on a direction, for the whole model. record: what the result's manifest keeps for a later merge to go on from."""

    factor: float
    record: Mapping[str, Any]
    warning: str = ""


@dataclass(frozen=True)
class OverModel:
    """What scales a direction by norms over the whole model, and keeps a state from which a later merge goes on.

    factor: (norms of the members' changes, norm of the direction, the members' states) -> Rescaling. states: (what the record of the
    merge that made each member says, or None; where each member stands, for messages; the shared options) -> one state a member, empty
    for a plain one; raises for records from which no merge can go on. unknown: the state of a result that is not merged yet.
    """

    factor: Callable[[Sequence[float], float, Sequence[Mapping[str, Any]]], Rescaling]
    states: Callable[[Sequence[Any], Sequence[str], Mapping[str, Any]], tuple[Mapping[str, Any], ...]]
    unknown: Mapping[str, Any]


@dataclass(frozen=True)
class MemberMasks:
    """What tells the members apart in one direction: a bit an entry and one factor a member, saved beside a result that is written.

    masks: (deltas, direction) -> where the direction is a member's own, a condition a member. sizes: (deltas, direction, masks) -> the
    formulas whose sums over the whole model are wanted, some for each member. factors: their sums, (members, sums) -> one factor a member.
    """

    masks: Callable[..., Any]
    sizes: Callable[..., Any]
    factors: Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Method(Row):
    """One published method of the weights family, as a composition of parts: per_delta -> space -> combine -> after.

    merged = base + scale * direction, or combine's own result for methods on weights instead of deltas. A space, a step after and
    functions per delta go with a combine that is a function of tensors. It is a `Row` with these parts.

    Attributes:
        combine: makes one direction of the members' deltas, or the result of their weights.
        per_delta: selections, or functions (deltas, context) -> deltas.
        space: (deltas, context) -> (deltas there, function back).
        after: (direction, context) -> direction.
        needs: what must be at hand.
        keeps: the properties that the generated contract tests hold it to.
        level: `weights`.
        masks: what tells the members apart in the direction, saved beside a result that is written.
        over_model: what scales the direction by norms over the whole model, and keeps a state for later merges.
    """

    combine: Callable[..., Any]
    per_delta: tuple[Callable[..., Any], ...] = ()
    space: Callable[..., Any] | None = None
    after: tuple[Callable[..., Any], ...] = ()
    needs: Needs = field(default_factory=Needs)
    keeps: frozenset[Property] = frozenset()
    level: str = "weights"
    masks: MemberMasks | None = None
    over_model: OverModel | None = None

    @property
    def parts(self) -> str:
        """The composition in words, as in "keep_top -> sign_consensus"."""
        steps = [*self.per_delta, *([self.space] if self.space else []), self.combine, *self.after]
        return " -> ".join(step.__name__ for step in steps)

    @property
    def scale_words(self) -> frozenset[str]:
        """How the final factor may be called."""
        return frozenset(word for parameter in self.parameters if parameter.sets == "scale" for word in parameter.words)

    @property
    def wants(self) -> str:
        """The models and the base that it takes, in words, as in "1 model; a base, which changes are taken from"."""
        if self.needs.base == "first":
            return "two models, one of them named as base_model"
        models = self.needs.models
        # a note that speaks of the base says what it does
        optional = "; with one, changes are taken from it" if self.needs.base == "optional" and "base" not in self.note else ""
        return f"{models} model{'s' * (models != '1')}; {_BASES[self.needs.base]}{optional}"

    @property
    def takes(self) -> str:
        """As in "base, 1+"."""
        count = self.needs.models.replace(" or more", "+").replace(" to ", "-")
        return {"required": f"base, {count}", "optional": f"{count} (base)"}.get(self.needs.base, count)

    @property
    def facts(self) -> Mapping[str, str]:
        return {"parts": self.parts, "needs": self.wants}

    @property
    def data(self) -> Mapping[str, Any]:
        return {"parts": self.parts, "needs": asdict(self.needs)}

    @property
    def example(self) -> dict[str, Any]:
        """A recipe with every parameter that has something to say."""
        starts = {p.name: (p.scope, p.shown) for p in self.parameters}
        own = {name: value for name, (scope, value) in starts.items() if scope != "shared" and value is not None}
        shared = {name: value for name, (scope, value) in starts.items() if scope == "shared" and value is not None}
        # the first of two models is the base itself
        count = 2 if self.needs.base == "first" else min(max(2, self.needs.min_models), self.needs.max_models or 2)
        base = {"required": "path/to/base", "first": "path/to/first"}.get(self.needs.base)
        # what is taken up again, or split into members again, must not have been rounded
        kept = self.over_model is not None or self.masks is not None
        return {
            "merge_method": self.name,
            **({"base_model": base} if base else {}),
            "models": [{"model": f"path/to/{word}", **({"parameters": own} if own else {})} for word in ("first", "second")[:count]],
            **({"parameters": shared} if shared else {}),
            **({"out_dtype": "float32"} if kept else {"dtype": "bfloat16"}),
        }
