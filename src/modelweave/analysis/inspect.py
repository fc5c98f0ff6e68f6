"""What a checkpoint holds, from its headers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..checkpoints.dtypes import DTYPES
from ..checkpoints.layers import find_layout
from ..checkpoints.tensors import Checkpoint, TensorRef
from ..text.words import ranges


@dataclass(frozen=True)
class TensorRow:
    """Tensors that differ only in the numbers of their names. layers: as in "0-31", empty outside the layers."""

    name: str
    layers: str
    tensors: int
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """dtypes: tag to (tensors, parameters). stacks: prefix to number of layers. ignored: entries that are not read, with the
    reason."""

    label: str
    architecture: str
    tensors: int
    parameters: int
    bytes: int
    dtypes: Mapping[str, tuple[int, int]]
    stacks: Mapping[str, int]
    aliases: Mapping[str, str]
    buffers: tuple[str, ...]
    ignored: Mapping[str, str]
    files: tuple[str, ...]
    fingerprint: str


def tensor_rows(checkpoint: Checkpoint, *, collapse: bool = True, contains: str = "") -> list[TensorRow]:
    """The tensors of a checkpoint, in its order.

    Args:
        checkpoint: of which only headers are read.
        collapse: whether layers of one shape and type are one row.
        contains: a text that is in the names.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> model = open_checkpoint({f"h.{i}.w": np.zeros((2, 3), np.float32) for i in range(4)})
    >>> [(row.name, row.layers, row.parameters) for row in tensor_rows(model)]
    [('h.*.w', '0-3', 24)]
    """
    places = find_layout(checkpoint).places
    groups: dict[tuple[str, tuple[int, ...], str], list[TensorRef]] = {}
    for name, ref in checkpoint.items():
        if contains in name:
            place = places.get(name) if collapse else None
            pattern = name if place is None else without_numbers(place.stack, place.rest)
            groups.setdefault((pattern, ref.shape, ref.stored), []).append(ref)
    rows = []
    for (pattern, shape, dtype), refs in groups.items():
        layers = ranges({places[ref.name].layer for ref in refs if ref.name in places})
        count = sum(ref.count for ref in refs)
        rows.append(TensorRow(pattern, layers, len(refs), shape, dtype, count, count * DTYPES[dtype].itemsize))
    return rows


def summarize(checkpoint: Checkpoint) -> Summary:
    """Totals over all tensors, and what is told beside them.

    Args:
        checkpoint: of which only headers are read.

    >>> from modelweave.checkpoints.open import open_checkpoint
    >>> import numpy as np
    >>> summary = summarize(open_checkpoint({f"h.{i}.w": np.zeros((2, 3), np.float32) for i in range(4)}))
    >>> summary.parameters, summary.bytes, summary.stacks
    (24, 96, {'h': 4})
    """
    dtypes: dict[str, tuple[int, int]] = {}
    for ref in checkpoint.values():
        tensors, parameters = dtypes.get(ref.stored, (0, 0))
        dtypes[ref.stored] = (tensors + 1, parameters + ref.count)
    config = checkpoint.config or {}
    architectures = config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else config.get("model_type")
    return Summary(
        label=checkpoint.label,
        architecture=str(named or ""),
        tensors=len(checkpoint),
        parameters=sum(count for _, count in dtypes.values()),
        bytes=sum(count * DTYPES[tag].itemsize for tag, (_, count) in dtypes.items()),
        dtypes=dtypes,
        stacks=dict(find_layout(checkpoint).stacks),
        aliases=dict(checkpoint.aliases),
        buffers=tuple(sorted(checkpoint.buffers)),
        ignored=dict(checkpoint.ignored),
        files=tuple(checkpoint.side_files()),
        fingerprint=checkpoint.fingerprint(),
    )


def as_dict(summary: Summary, rows: Sequence[TensorRow]) -> dict[str, Any]:
    """Everything at once, ready for JSON."""
    dtypes = {tag: {"tensors": tensors, "parameters": count} for tag, (tensors, count) in summary.dtypes.items()}
    return {**asdict(summary), "dtypes": dtypes, "rows": [asdict(row) for row in rows]}


def without_numbers(stack: str, rest: str) -> str:
    """A tensor's name with a star for its layer and for every later number, such as an expert's.

    >>> without_numbers("model.layers", "mlp.experts.7.up.weight")
    'model.layers.*.mlp.experts.*.up.weight'
    """
    words = ["*" if word.isdigit() else word for word in rest.split(".")]
    return ".".join([*([stack] if stack else []), "*", *words])
