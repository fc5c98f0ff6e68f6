"""What a method keeps of each member beside its result: one bit an entry and one factor a member.

`masks.safetensors` holds for member i and tensor `name` the bits of "i.name" (uint8, lowest bit first), and `rescalers`, float64: the
factor that brings the masked change to the member's own summed magnitude over the whole model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.decode import decode
from ..checkpoints.folder import FolderSink
from ..checkpoints.open import open_checkpoint
from ..checkpoints.side_tensors import SideTensors
from ..checkpoints.tensors import Checkpoint
from ..errors import CheckpointError, ParameterError, unknown
from ..recipes.plan import TensorPlan
from .general import tensors_of
from .scheduler import Job, Stages, Task
from .workbench import Scratch, Workbench, options_of, spans

if TYPE_CHECKING:
    import os

    from torch import Tensor

STEM = "masks"


def write_masks(bench: Workbench, plans: Sequence[TensorPlan], sink: FolderSink, run_all: Callable[[Iterable[Job]], None]) -> None:
    """One more pass over the inputs, where the plans' method keeps something of each member; nothing otherwise."""
    chosen = [plan for plan in plans if plan.method is not None and plan.method.masks is not None and plan.count]
    if not chosen:
        return
    labels = chosen[0].labels
    specs = [(f"{i}.{plan.name}", ((plan.count + 7) // 8,), "U8") for plan in chosen for i in range(len(labels))]
    metadata = {"members": json.dumps(labels), "method": chosen[0].method.name if chosen[0].method else ""}
    sums = np.zeros((len(labels), 2))
    with sink.side_tensors(STEM, [*specs, ("rescalers", (len(labels),), "F64")], metadata) as file:
        run_all(Job(_masking(bench, plan, file, sums)) for plan in chosen)
        own, masked = sums.T
        factors = np.where(masked > 0, own / np.where(masked > 0, masked, 1), 1.0)
        file.write("rescalers", 0, factors.view(np.uint8))


def _masking(bench: Workbench, plan: TensorPlan, file: SideTensors, sums: NDArray[np.float64]) -> Stages:
    results = yield [_task(bench, plan, file, *span) for span in spans(plan.count)]
    sums += np.sum(results, axis=0)


def _task(bench: Workbench, plan: TensorPlan, file: SideTensors, start: int, stop: int) -> Task:
    method = plan.method
    assert method is not None and method.masks is not None
    masks, options = method.masks, options_of(method.combine, plan.shared)

    def task(own: Scratch) -> NDArray[np.float64]:
        sums = np.zeros((len(plan.inputs), 2))
        for at, count in bench.chunks(start, stop):
            deltas, context = tensors_of(bench, plan, bench.read(own, plan, at, count), 1, ())
            unified = method.combine(deltas, context, **options)
            kept = masks(deltas, unified)
            sums[:, 0] += deltas.abs().double().sum(1).cpu().numpy()
            sums[:, 1] += (kept * unified.abs()).double().sum(1).cpu().numpy()
            for i, bits in enumerate(np.packbits(kept.cpu().numpy(), axis=1, bitorder="little")):
                file.write(f"{i}.{plan.name}", at // 8, np.ascontiguousarray(bits))
        return sums

    return task


def recover(folder: str | os.PathLike[str], member: str | int, base: Any = None) -> dict[str, Tensor]:
    """A member as near as the result and its masks tell: base + rescaler * mask * (result - base).

    folder: a result of a method that saves masks, such as emr. member: its label, the end of it, or its number. base: path or state dict
    of the base; unless given, the one that the recipe names, looked for here and beside the folder. Tensors that were not merged are as in the result. A result in bfloat16 has
    rounded the unified change; out_dtype float32 keeps it. Raises CheckpointError and ParameterError for what does not fit.
    """
    file = Path(folder) / f"{STEM}.safetensors"
    if not file.is_file():
        raise CheckpointError(f"recover: '{folder}' has no {file.name}; expected the result of a method that saves masks, such as emr")
    result, masks = open_checkpoint(folder), open_checkpoint(file)
    number = _number(member, json.loads(getattr(masks, "metadata", {})["members"]))
    factor = float(masks["rescalers"].read().view(np.float64)[number])
    ground = open_checkpoint(_base_of(Path(folder)) if base is None else base, near=Path(folder).parent)
    return {name: _recovered(result, ground, masks, name, number, factor) for name in result}


def _recovered(result: Checkpoint, base: Checkpoint, masks: Checkpoint, name: str, number: int, factor: float) -> Tensor:
    import torch

    from .members import tensor_of

    ref = result[name]
    merged = tensor_of(ref.read(), ref.shape, ref.dtype)
    key = f"{number}.{name}"
    if key not in masks:
        return merged
    start = torch.from_numpy(np.array(decode(base[name].read(), base[name].dtype))).reshape(ref.shape)
    bits = np.unpackbits(masks[key].read(), count=ref.count, bitorder="little").astype(bool)
    kept = torch.from_numpy(bits).reshape(ref.shape)
    change = merged.to(start.dtype) - start
    return (start + factor * kept * change).to(merged.dtype)


def _number(member: str | int, labels: Sequence[str]) -> int:
    if isinstance(member, int) and -len(labels) <= member < len(labels):
        return member % len(labels)
    fitting = [i for i, label in enumerate(labels) if label == member or (isinstance(member, str) and label.endswith(f"/{member}"))]
    if len(fitting) != 1:
        raise ParameterError("recover: " + unknown("member", str(member), labels))
    return fitting[0]


def _base_of(folder: Path) -> str:
    record: Mapping[str, Any] = json.loads((folder / "modelweave.json").read_text(encoding="utf-8"))
    base = record["recipe"].get("base_model")
    if not isinstance(base, str):
        raise CheckpointError(f"recover: the record of '{folder}' names no base; pass base")
    return base
