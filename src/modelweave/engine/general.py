"""Jobs of methods that are functions of tensors: torch, on any chunk, on whole rows, or on the whole matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..checkpoints.decode import decode
from ..checkpoints.tensors import TensorRef
from ..errors import NonFiniteError
from ..recipes.planning.plan import TensorPlan
from ..weights.method import Method
from ..weights.part import Context, spec_of
from .coefficients import store_direction
from .device import room_on
from .kernels import Chunk
from .order_statistics import differences
from .scheduler import Stages, Task
from .workbench import Scratch, Workbench, options_of, spans

if TYPE_CHECKING:
    from torch import Tensor


def general_job(bench: Workbench, plan: TensorPlan) -> Stages:
    """The parts on chunks or the whole matrix."""
    assert plan.method is not None
    whole = spec_of(plan.method.combine).sees == "matrix"
    row = plan.count if whole else 1
    parts = [(0, plan.count)] if whole else spans(plan.count)
    yield [_writing(bench, plan, row, *p) for p in parts]


def _writing(bench: Workbench, plan: TensorPlan, row: int, start: int, stop: int) -> Task:
    assert plan.method is not None
    method = plan.method
    sees = spec_of(method.combine).sees
    shape, device = _shape_seen(plan.shape, sees), bench.device if sees == "matrix" else "cpu"

    def task(own: Scratch) -> None:
        for at, count in bench.chunks(start, stop, row):
            chunk = bench.read(own, plan, at, count)
            with room_on(bench.device, plan.name):
                deltas, context = tensors_of(bench, plan, chunk, shape, device)
                values = _direction(method, deltas, context, plan.shared).detach().to("cpu").contiguous().numpy()
            store_direction(bench, plan, own, chunk, values.reshape(-1), plan.scale)

    return task


def _direction(method: Method, deltas: Tensor, context: Context, options: Mapping[str, Any]) -> Tensor:
    """The method's parts one after another: per delta, into a space and back, after."""
    for step in method.per_delta:
        deltas = step(deltas, context, **options_of(step, options))
    back = None
    if method.space is not None:
        deltas, back = method.space(deltas, context, **options_of(method.space, options))
    direction: Tensor = method.combine(deltas, context, **options_of(method.combine, options))
    direction = direction if back is None else back(direction)
    for step in method.after:
        direction = step(direction, context, **options_of(step, options))
    return direction


def tensors_of(bench: Workbench, plan: TensorPlan, chunk: Chunk, shape: tuple[int, ...], device: str) -> tuple[Tensor, Context]:
    """The members' differences (members, *shape) in float32 or wider, and the context with the base's values."""
    import torch

    values = differences(bench, plan, chunk)
    deltas = torch.from_numpy(values).reshape(len(plan.inputs), *shape).to(device)
    base = None
    if chunk.base is not None:
        alone = replace(chunk, data=[chunk.base], dtypes=[chunk.base_dtype], base=None)
        base = torch.from_numpy(differences(bench, plan, alone)[0].astype(values.dtype, copy=False)).reshape(shape).to(device)
    return deltas, replace(plan.context, base=base, beside=_beside(bench, plan, chunk, deltas), seed=bench.seed)


def _beside(bench: Workbench, plan: TensorPlan, chunk: Chunk, like: Tensor) -> dict[str, tuple[Tensor | None, ...]]:
    """What stands beside each member: the same chunk, in the form of the deltas, or whole where its shape is another."""

    def tensor_of(word: str, ref: TensorRef | None, label: str) -> Tensor | None:
        import torch

        if ref is None:
            return None
        chunked = ref.shape == plan.shape
        data = ref.read(chunk.start, chunk.start + chunk.count) if chunked else ref.read()
        bench.moved(len(data))
        values = torch.from_numpy(decode(data, ref.dtype)).to(like)
        if not (bench.allow_nonfinite or values.isfinite().all()):
            raise NonFiniteError(f"{plan.name}: the {word} of '{label}' holds NaN or infinity; compute it anew")
        return values.reshape(like.shape[1:] if chunked else ref.shape)

    return {
        word: tuple(tensor_of(word, ref, label) for ref, label in zip(refs, plan.labels, strict=True)) for word, refs in plan.beside.items()
    }


def _shape_seen(shape: tuple[int, ...], sees: str) -> tuple[int, ...]:
    """The shape of a chunk for a part: the whole tensor (one of a single axis as one row), or entries alone."""
    if sees == "matrix":
        return shape if len(shape) != 1 else (1, *shape)
    return (-1,)
