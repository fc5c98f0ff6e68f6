"""What every planned output needs to know, and each source's share of one output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...checkpoints.dtypes import DTYPES, TAG_OF_TORCH
from ...checkpoints.tensors import Checkpoint, TensorRef
from ...weights.method import Method
from ..language.document import Document
from ..language.regions import Rule, Source
from ..tokenizer.vocabulary import Vocabulary, is_vocabulary_tensor
from .ledger import Ledger
from .outputs import Output
from .plan import TensorPlan
from .views import View


@dataclass(frozen=True)
class Surroundings:
    """What every output needs to know. Only the ledger changes."""

    document: Document
    methods: Mapping[str, Method]
    rules: tuple[Rule, ...]
    views: Mapping[str, View]
    donor: View
    vocabulary: Vocabulary | None = None
    statistics: Mapping[str, Mapping[str, Checkpoint]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def base_label(self) -> str | None:
        return self.document.base_model.label if self.document.base_model else None

    def number(self, label: str) -> int:
        """The member's number: the recipe's models in order, the base after them."""
        members = [name for name in self.views if name != self.base_label]
        return members.index(label) if label in members else len(members)


@dataclass(frozen=True)
class Part:
    """One source's share of an output: its tensor of that name. number: of the member, for its random stream."""

    source: Source
    view: View
    name: str
    ref: TensorRef
    number: int

    @property
    def who(self) -> str:
        return f"{self.source.where} ('{self.source.label}')"


@dataclass(frozen=True)
class Absence:
    """A source without a tensor of that name."""

    view: View
    name: str


def part_of(source: Source, name: str, around: Surroundings) -> Part | Absence:
    """A source's tensor, with its rows in the order of the output vocabulary."""
    view = around.views[source.label]
    ref = view.find(name)
    if ref is None:
        return Absence(view, name)
    vocabulary = around.vocabulary
    if vocabulary is not None and is_vocabulary_tensor(name, ref.shape, vocabulary.rows[view.index]):
        everyone = [other.find(name) for other in around.views.values()]
        for other in around.views.values():
            around.ledger.reach(other, name)
        same_width = [r if r is not None and r.shape[1:] == ref.shape[1:] else None for r in everyone]
        ref = vocabulary.wrap(view.index, ref, same_width)
    return Part(source, view, name, ref, around.number(source.label))


def copied(output: Output, giver: Part, passed: Sequence[Part], reason: str, around: Surroundings) -> TensorPlan:
    """A copy of one part; the others give way to it. Whole numbers and buffers keep their type."""
    for part in (giver, *passed):
        around.ledger.reach(part.view, part.name)
    keeps_type = not giver.ref.floating or giver.view.is_buffer(giver.name)
    return TensorPlan(
        name=output.name,
        shape=giver.ref.shape,
        dtype=giver.ref.dtype if not giver.ref.floating else out_dtype([giver.ref], around.document, keeps_type),
        method=None,
        inputs=(giver.ref,),
        labels=(giver.view.label,),
        members=(giver.number,),
        layer=output.layer,
        layers=output.layers,
        reason=f"{reason}; copied from '{giver.view.label}'",
    )


def out_dtype(refs: Sequence[TensorRef], document: Document, keeps_type: bool = False) -> str:
    """The output's type: the recipe's out_dtype, else its dtype, else the one that holds what every checkpoint declares."""
    word = document.out_dtype or document.dtype
    return joint_type(ref.stored for ref in refs) if keeps_type or word is None else TAG_OF_TORCH[word]


def main_type(tensors: Iterable[tuple[str, int]]) -> str:
    """The floating type of most entries, empty without any. tensors: type and number of entries of each.

    >>> main_type([("F32", 10), ("BF16", 6), ("BF16", 6), ("I64", 99)])
    'BF16'
    """
    counts: Counter[str] = Counter()
    for tag, count in tensors:
        if DTYPES[tag].floating:
            counts[tag] += count
    return max(counts, key=counts.__getitem__, default="")


def joint_type(tags: Iterable[str]) -> str:
    """The smallest type that holds all of these, as torch promotes them; types of 8 bits give way to any other.

    >>> joint_type(["BF16", "BF16"]), joint_type(["BF16", "F16"]), joint_type(["F8_E5M2", "F16"])
    ('BF16', 'F32', 'F16')
    """
    found = set(tags)
    wide = {tag for tag in found if not tag.startswith("F8")} or found
    return wide.pop() if len(wide) == 1 else "F64" if "F64" in wide else "F32"
