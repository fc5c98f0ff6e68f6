"""Tensors that stand beside a member, such as its Fisher diagonal or Gram matrix: in checkpoints of their own, under the member's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...checkpoints.tensors import Checkpoint, TensorRef
from ...errors import CompatibilityError, RecipeError, unknown
from ...weights.method import Method
from ...weights.part import spec_of
from ..language.document import Document
from .parts import Part

Statistics = Mapping[str, Mapping[str, Checkpoint]]
"""By a member's label and a word, such as "fisher"."""


def words_of(method: Method) -> tuple[str, ...]:
    """What a method's parts see beside each member."""
    parts = [*method.per_delta, *([method.space] if method.space else []), method.combine, *method.after]
    return tuple(dict.fromkeys(word for part in parts for word in spec_of(part).beside))


def check_statistics(document: Document, methods: Iterable[Method]) -> None:
    """Raise RecipeError for statistics that no method in use asks for."""
    used = list(methods)
    known = {word for method in used for word in words_of(method)}
    for label, words in document.statistics.items():
        for word in words:
            if not known:
                raise RecipeError(f"model '{label}': {used[-1].name} takes no statistics; leave '{word}' out, or take another method")
            if word not in known:
                raise RecipeError(f"model '{label}': " + unknown("statistics", word, known))


def beside_members(method: Method, members: Sequence[Part], statistics: Statistics) -> dict[str, Any]:
    """The plan's `beside` and `headers`: for each word one tensor a member, None where its statistics lack it, and the files' texts.

    Raises CompatibilityError for a member without such statistics, and where they do not fit the tensor.
    """
    beside, headers = {}, {}
    for word in words_of(method):
        found = [_statistics(method, part, word, statistics) for part in members]
        beside[word] = tuple(_tensor(method, part, word, each) for part, each in zip(members, found, strict=True))
        headers[word] = tuple(each.metadata for each in found)
    return {"beside": beside, "headers": headers}


def _statistics(method: Method, part: Part, word: str, statistics: Statistics) -> Checkpoint:
    found = statistics.get(part.source.label, {}).get(word)
    if found is None:
        raise CompatibilityError(
            f"{part.who}: {method.name} needs the {word} of each model, none is given; add 'statistics: {{{word}: file}}' to the model"
        )
    return found


def _tensor(method: Method, part: Part, word: str, statistics: Checkpoint) -> TensorRef | None:
    """The tensor of the member's name; of any shape where the method sees whole matrices, else of the member's."""
    own = part.view.find(part.name)
    names = (part.name, *(() if own is None else (own.name,)))
    ref = next((statistics[name] for name in names if name in statistics), None)
    if ref is None:
        return None
    if own is not part.ref:
        raise CompatibilityError(f"{part.who}: the {word} of {part.name} has rows of its own tokenizer; merge models with one tokenizer")
    if not ref.floating or (ref.shape != part.ref.shape and spec_of(method.combine).sees != "matrix"):
        raise CompatibilityError(
            f"{part.who}: the {word} of {part.name} is {ref.shape} of {ref.dtype}, expected floating-point numbers of the shape "
            f"{part.ref.shape}; compute the statistics of this model"
        )
    return ref
