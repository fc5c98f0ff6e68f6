"""A recipe becomes a plan, which tensor from which inputs by which parts, before a byte is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...checkpoints.layers import comes_before_layers
from ...checkpoints.tensors import Checkpoint, TensorRef
from ...weights.method import Method
from ...weights.part import Context, spec_of
from ..tokenizer.vocabulary import VocabularyRow


@dataclass(frozen=True)
class TensorPlan:
    """One output tensor.

    base: the reference that deltas are taken from, or None. inputs: the members, base excluded where the method takes deltas.
    members: index of each input among the recipe's members; the random stream of a member depends on it.
    shared: one value a parameter, as the parts read them. per_input: one mapping a member, in the order of inputs.
    states: what the merges that made the members left, one mapping a member; empty where the method asks for none.
    beside: by word, what stands beside each member, such as its Fisher diagonal; headers: the texts in the headers of those files.
    scale: the final factor on the direction. draws: over how many random selections the result is averaged. ranked_over: within what
    entries are ranked. rescale: whether a thinned change gets its summed magnitude back.
    layer, layers: position in depth, None outside the layers. stream: under whose name random numbers are drawn, its own where empty.
    method None: a copy of inputs[0], `reason` says why.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    method: Method | None
    inputs: tuple[TensorRef, ...]
    base: TensorRef | None = None
    labels: tuple[str, ...] = ()
    members: tuple[int, ...] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)
    per_input: tuple[Mapping[str, Any], ...] = ()
    states: tuple[Mapping[str, Any], ...] = ()
    beside: Mapping[str, tuple[TensorRef | None, ...]] = field(default_factory=dict)
    headers: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    scale: float = 1.0
    draws: int = 1
    ranked_over: Literal["tensor", "model"] = "tensor"
    rescale: bool = False
    layer: int | None = None
    layers: int | None = None
    stream: str = ""
    reason: str = ""

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def context(self) -> Context:
        """What a part may know of the tensor beside its values."""
        before = self.layer is None and comes_before_layers(self.name)
        return Context(self.name, self.shape, self.per_input, self.layer, self.layers, before, headers=self.headers, states=self.states)

    @property
    def wide(self) -> bool:
        """Whether it is computed in float64, as it is once a source is."""
        return any(ref.dtype == "F64" for ref in self.sources)

    @property
    def whole_bytes(self) -> int:
        """About what a method on whole matrices holds at once for this tensor; 0 for one that streams.

        14 and 12 a member times the tensor, in the arithmetic's type: at least what the catalog's methods were seen to take.
        """
        if self.method is None or len(self.shape) != 2:
            return 0
        spec = spec_of(self.method.combine)
        whole = spec.kind == "tensors" and spec.sees == "matrix"
        beside = sum(ref.count for ref in self.reads[len(self.sources) :])
        return ((14 + 12 * len(self.inputs)) * self.count + 2 * beside) * (8 if self.wide else 4) if whole else 0

    @property
    def sources(self) -> tuple[TensorRef, ...]:
        """What is merged, the base first."""
        return ((self.base,) if self.base is not None else ()) + self.inputs

    @property
    def reads(self) -> tuple[TensorRef, ...]:
        """Everything that is read: what is merged, and what stands beside it."""
        return (*self.sources, *(ref for refs in self.beside.values() for ref in refs if ref is not None))


@dataclass(frozen=True)
class Plan:
    """A whole merge.

    tensors: in writing order. checkpoints: the inputs, the base first when there is one. recipe: as resolved.
    donor: the checkpoint whose config and side files the result inherits. config: as it will be written, or None.
    side_files: name to content, what is written beside the weights (tokenizer, generation config, processor).
    dropped: input tensors that reach no output, each with the reason; nothing is dropped in silence.
    made: how the result came to be, in one sentence, where it is no merge. statistics: checkpoints of what stands beside the members.
    vocabulary: how embedding rows are aligned, a row a model; empty where they are not.
    """

    tensors: tuple[TensorPlan, ...]
    checkpoints: tuple[Checkpoint, ...]
    recipe: Mapping[str, Any]
    donor: Checkpoint | None = None
    config: Mapping[str, Any] | None = None
    side_files: Mapping[str, bytes] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    licence: str | None = None
    seed: int = 0
    vocabulary: tuple[VocabularyRow, ...] = ()
    statistics: tuple[Checkpoint, ...] = ()
    made: str | None = None

    @property
    def inputs(self) -> tuple[Checkpoint, ...]:
        """Everything that is read from."""
        return (*self.checkpoints, *self.statistics)
