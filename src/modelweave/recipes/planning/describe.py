"""A plan in rows and totals, for whoever shows it; nothing is read but headers, nothing is printed."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ...checkpoints.dtypes import DTYPES
from ...checkpoints.tensors import Checkpoint
from ...text.sizes import human_size
from ...text.words import ranges
from ..tokenizer.vocabulary import embedding_rows
from .inherit import licence_of
from .plan import Plan, TensorPlan


@dataclass(frozen=True)
class OutputRow:
    """Outputs that differ only in their layer. layers: as in "0-39", empty outside layers. made: method and inputs, or why copied."""

    name: str
    layers: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    method: str
    inputs: tuple[str, ...]
    base: bool
    reason: str
    bytes: int


@dataclass(frozen=True)
class InputRow:
    """One input as its headers show it. vocabulary: rows of its embedding. files: tokenizer files beside it."""

    label: str
    role: str
    tensors: int
    parameters: int
    bytes: int
    dtypes: tuple[str, ...]
    architecture: str
    vocabulary: int | None
    tokenizer: bool
    licence: str | None


@dataclass(frozen=True)
class Totals:
    """bytes_read counts every input once; methods that look twice find it in the page cache. peak: buffers, in bytes."""

    outputs: int
    merged: int
    copied: int
    dropped: int
    parameters: int
    bytes_read: int
    bytes_written: int
    peak: int


def output_rows(plan: Plan) -> list[OutputRow]:
    """The outputs in writing order, layers with the same fate in one row."""
    groups: dict[tuple[Any, ...], list[TensorPlan]] = {}
    for tensor in plan.tensors:
        key = (_pattern(tensor), tensor.shape, tensor.dtype, _method(tensor), tensor.labels, tensor.base is None, tensor.reason)
        groups.setdefault(key, []).append(tensor)
    return [_output_row(key[0], group) for key, group in groups.items()]


def _output_row(name: str, group: Sequence[TensorPlan]) -> OutputRow:
    one = group[0]
    layers = ranges(t.layer for t in group if t.layer is not None)
    size = sum(written_bytes(t) for t in group)
    return OutputRow(name, layers, len(group), one.shape, one.dtype, _method(one), one.labels, one.base is not None, one.reason, size)


def input_rows(plan: Plan) -> list[InputRow]:
    """The inputs, the base first when there is one."""
    has_base = "base_model" in plan.recipe
    return [_input_row(c, "base" if has_base and i == 0 else "model") for i, c in enumerate(plan.checkpoints)]


def _input_row(checkpoint: Checkpoint, role: str) -> InputRow:
    refs = list(checkpoint.values())
    config = checkpoint.config or {}
    names = config.get("architectures") or [config.get("model_type") or ""]
    return InputRow(
        checkpoint.label,
        role,
        len(refs),
        sum(ref.count for ref in refs),
        sum(ref.count * DTYPES[ref.stored].itemsize for ref in refs),
        tuple(tag for tag, _ in Counter(ref.stored for ref in refs).most_common()),
        str(names[0]) if isinstance(names, list) and names else "",
        embedding_rows(checkpoint),
        any(name.startswith("tokenizer") or name.startswith("vocab") for name in checkpoint.side_files()),
        licence_of(checkpoint),
    )


def parameter_sets(tensors: Sequence[TensorPlan]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The methods' parameters as resolved: each set once, and for every merged tensor which one is its own."""
    sets: list[dict[str, Any]] = []
    place: dict[str, int] = {}
    known: dict[str, int] = {}
    for tensor in tensors:
        if tensor.method is None:
            continue
        each = [{"model": label, **values} for label, values in zip(tensor.labels, tensor.per_input, strict=False)]
        each = [own | ({"earlier": state} if state else {}) for own, state in zip_longest(each, tensor.states)]
        own = {"method": tensor.method.name, "parameters": dict(tensor.shared), "models": each}
        number = known.setdefault(json.dumps(own, sort_keys=True, default=str), len(sets))
        if number == len(sets):
            sets.append(own)
        place[tensor.name] = number
    return sets, place


def totals(plan: Plan, memory: int = 1 << 30) -> Totals:
    """Counts and bytes. memory: the limit on buffers that the run will have."""
    sources = {(id(ref)): ref for tensor in plan.tensors for ref in tensor.reads}
    copied = sum(tensor.method is None for tensor in plan.tensors)
    return Totals(
        outputs=len(plan.tensors),
        merged=len(plan.tensors) - copied,
        copied=copied,
        dropped=len(plan.dropped),
        parameters=sum(math.prod(tensor.shape) for tensor in plan.tensors),
        bytes_read=sum(ref.count * DTYPES[ref.stored].itemsize for ref in sources.values()),
        bytes_written=sum(written_bytes(tensor) for tensor in plan.tensors),
        peak=peak_buffers(plan, memory),
    )


def peak_buffers(plan: Plan, memory: int = 1 << 30) -> int:
    """The most that buffers take: the largest output with all its inputs in float32, or the limit, whichever is less.

    A method on whole matrices takes the largest one even where that is more than the limit.
    """
    streamed = max((math.prod(t.shape) * 4 * (len(t.reads) + 1) for t in plan.tensors if not t.whole_bytes), default=0)
    whole = [t.whole_bytes for t in plan.tensors]
    return max(min(memory, streamed), min(memory, sum(whole)), max(whole, default=0))


def whole_matrices(plan: Plan, memory: int = 1 << 30) -> str | None:
    """A sentence where methods on whole matrices need more than the limit, None where not."""
    largest = max(plan.tensors, key=lambda t: t.whole_bytes, default=None)
    if largest is None or largest.whole_bytes <= memory or largest.method is None:
        return None
    return (
        f"{largest.method.name} needs whole matrices, about {human_size(largest.whole_bytes)} for {largest.name}, which is more than "
        f"--memory {human_size(memory)}: such matrices are taken one at a time; more memory takes several at once"
    )


def written_bytes(tensor: TensorPlan) -> int:
    """Bytes of one output."""
    return math.prod(tensor.shape) * DTYPES[tensor.dtype].itemsize


def dropped_rows(dropped: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """(reason, how many tensors, one of them), the most frequent first; layer numbers do not split a group."""
    groups: dict[str, list[str]] = {}
    for name, reason in dropped.items():
        groups.setdefault(_without_layer(reason), []).append(name)
    return sorted(((reason, len(names), names[0]) for reason, names in groups.items()), key=lambda row: -row[1])


def as_dict(plan: Plan, memory: int = 1 << 30) -> dict[str, Any]:
    """Everything at once, ready for JSON."""

    def fields(row: Any) -> Mapping[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(row).items()}

    return {
        "inputs": [fields(row) for row in input_rows(plan)],
        "outputs": [fields(row) for row in output_rows(plan)],
        "totals": fields(totals(plan, memory)),
        "vocabulary": [row._asdict() for row in plan.vocabulary],
        "parameters": parameter_sets(plan.tensors)[0],
        "dropped": dict(plan.dropped),
        "warnings": list(plan.warnings),
        "licence": plan.licence,
        "files": sorted(plan.side_files),
        "recipe": plan.recipe,
    }


def _method(tensor: TensorPlan) -> str:
    return tensor.method.name if tensor.method is not None else "copy"


def _pattern(tensor: TensorPlan) -> str:
    if tensor.layer is None:
        return tensor.name
    words = tensor.name.split(".")
    at = words.index(str(tensor.layer))
    return ".".join([*words[:at], "*", *words[at + 1 :]])


def _without_layer(reason: str) -> str:
    words = reason.split(" ")
    if words[0] == "layer" and words[1].isdigit():
        return " ".join(["layers", *words[2:]]).replace(" is in no slice", " that are in no slice")
    return reason
