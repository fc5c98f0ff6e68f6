"""Merging from Python: paths, modules or state dicts in, a state dict or a folder out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ..catalog import method as row_of
from ..checkpoints.decode import as_torch, torch_type
from ..checkpoints.results.memory_sink import MemorySink
from ..errors import ModelweaveWarning, ParameterError, without_secrets
from ..recipes.planning.plan import Plan, TensorPlan
from ..weights.method import Method
from .given import plan_given
from .kept import Kept
from .merge import MergeResult, write_plan
from .options import RunOptions
from .run import run

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .given import Model


class Prepared(NamedTuple):
    """A base and the direction that a method found, both as state dicts.

    Attributes:
        base: in the types of the result, and with what is merged without a direction.
        direction: float32 or wider.
        aliases: further names of tensors, as in a model with tied weights.

    >>> import torch
    >>> Prepared({"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}).at(0.5)
    {'w': tensor([2.])}
    """

    base: dict[str, Tensor]
    direction: dict[str, Tensor]
    aliases: Mapping[str, str] = {}

    def at(self, scale: float) -> dict[str, Tensor]:
        """base + scale * direction, rounded once to the types of the result."""
        merged = {}
        for name, start in self.base.items():
            step = self.direction.get(name)
            merged[name] = start.clone() if step is None else (start.to(step.dtype) + scale * step).to(start.dtype)
        return with_aliases(merged, self.aliases)


@overload
def merge(models: Sequence[Model] | Mapping[str, Model], *, out: None = None, **options: Any) -> dict[str, Tensor]: ...
@overload
def merge(models: Sequence[Model] | Mapping[str, Model], *, out: str | os.PathLike[str], **options: Any) -> MergeResult: ...
def merge(
    models: Sequence[Model] | Mapping[str, Model],
    *,
    method: str | Method | Callable[..., Any] = "linear",
    base: Model | None = None,
    out: str | os.PathLike[str] | None = None,
    dtype: str | torch.dtype | None = None,
    missing: str = "error",
    preset: str | None = None,
    after: str | Sequence[Any] = (),
    seed: int = 0,
    statistics: Mapping[str, Sequence[Model | None] | Mapping[str, Model]] | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    memory: int | str = "1GiB",
    allow_nonfinite: bool = False,
    **parameters: Any,
) -> dict[str, Tensor] | MergeResult:
    """Merge several models into one.

    Args:
        models: paths, hub ids, modules or state dicts, in a list or by name.
        method: a name in `modelweave.weights.METHODS`, a row of one's own, or a function (changes, context) -> direction.
        base: their common ancestor, for methods that need one; where it is one of the models, by the same path or object, it is no further
            one.
        out: a folder to write; None: the result is returned.
        dtype: of the result, by default as stored.
        missing: what becomes of tensors that some models lack: `error`, `base`, `intersection` or `union`, as in a recipe.
        preset: other defaults, as a paper or a tool has them.
        after: steps as in a recipe, such as "lines".
        seed: of random methods.
        statistics: what stands beside each model, such as its Fisher diagonal: by word, a list or a dict by name, of paths or state dicts.
        device: `cpu` or `cuda`, where methods on whole matrices are computed.
        threads: workers; None: one a core.
        memory: for buffers and statistics, bytes or a size.
        allow_nonfinite: whether inputs may hold NaN or infinity.
        parameters: the method's. Those of a member are one value for all, a list with one each, or a dict by name; filters (a list of
            {"filter": ..., "value": ...}) hold for all members, and a gradient stands in a list of its own, as in
            density=[[1, 0.1], [1, 0.1]]. Weights are 1 unless given.

    Returns:
        The state dict; with `out` the MergeResult (folder, reports, warnings, size).

    Raises:
        ModelweaveError: with one sentence, for anything that does not fit.

    >>> import torch
    >>> from modelweave import merge
    >>> merge([{"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 6.0])}], method="linear", weight=[3, 1])
    {'w': tensor([1.5000, 3.0000])}
    """
    plan = plan_given(models, method, base, dtype, missing, preset, after, seed, parameters, statistics)
    options = RunOptions.given(threads=threads, memory=memory, device=device, allow_nonfinite=allow_nonfinite, seed=seed)
    tell(plan.warnings)
    if out is not None:
        written = write_plan(plan, out, options)
        tell([text for text in written.warnings if text not in plan.warnings])
        return written
    return _state_dict(plan, options)


def prepare(
    models: Sequence[Model] | Mapping[str, Model],
    *,
    method: str | Method | Callable[..., Any],
    base: Model,
    missing: str = "error",
    preset: str | None = None,
    after: str | Sequence[Any] = (),
    seed: int = 0,
    statistics: Mapping[str, Sequence[Model | None] | Mapping[str, Model]] | None = None,
    device: str | torch.device = "cpu",
    threads: int | None = None,
    memory: int | str = "1GiB",
    allow_nonfinite: bool = False,
    **parameters: Any,
) -> Prepared:
    """The base and the direction of a method, so that each scale of a sweep costs one pass.

    merged = base + scale * direction; `prepare(...).at(s)` is `merge(..., scale=s)`.

    Args:
        models: paths, hub ids, modules or state dicts, in a list or by name.
        method: as in `merge`, one that takes changes from a base.
        base: their common ancestor.
        missing: what becomes of tensors that some models lack, as in `merge`.
        preset: other defaults, as a paper or a tool has them.
        after: steps as in a recipe, such as "lines".
        seed: of random methods.
        statistics: what stands beside each model, as in `merge`.
        device: `cpu` or `cuda`, where methods on whole matrices are computed.
        threads: workers; None: one a core.
        memory: for buffers and statistics, bytes or a size.
        allow_nonfinite: whether inputs may hold NaN or infinity.
        parameters: the method's, but for scale, as in `merge`.

    Raises:
        ModelweaveError: with one sentence, for anything that does not fit.

    >>> import torch
    >>> from modelweave import prepare
    >>> found = prepare([{"w": torch.tensor([3.0])}], method="task_arithmetic", base={"w": torch.tensor([1.0])})
    >>> found.direction["w"], found.at(0.5)["w"]
    (tensor([2.]), tensor([2.]))
    """
    method = row_of(method)
    if method.needs.base not in ("required", "optional"):
        raise ParameterError(f"prepare: {method.name} has no direction from a base; call merge, or use task_arithmetic")
    if row_of(method).scale_words & parameters.keys():
        raise ParameterError("prepare: scale is what .at(scale) is for; leave it out here")
    plan = plan_given(models, method, base, None, missing, preset, after, seed, parameters, statistics)
    options = RunOptions.given(threads=threads, memory=memory, device=device, allow_nonfinite=allow_nonfinite, seed=seed)
    tell(plan.warnings)
    return _direction(plan, options)[0]


def prepare_masked(
    models: Sequence[Model] | Mapping[str, Model], *, method: str, base: Model, missing: str = "error", **options: Any
) -> tuple[Prepared, MemorySink]:
    """As `prepare`, and the sink in which the members' masks are."""
    plan = plan_given(models, method, base, None, missing, None, (), 0, {})
    return _direction(plan, RunOptions.given(**options), masked=True)


def tell(sentences: Iterable[str]) -> None:
    """Show sentences to whoever called the function that calls this."""
    for sentence in sentences:
        warnings.warn(without_secrets(sentence), ModelweaveWarning, stacklevel=3)


def _direction(plan: Plan, options: RunOptions, *, masked: bool = False) -> tuple[Prepared, MemorySink]:
    moved = tuple(_wide(t) for t in plan.tensors if t.method is not None and t.base is not None)
    sink = MemorySink((t.name, t.shape, t.dtype) for t in moved)
    run(moved, sink, options, add_base=False, kept=Kept(sink if masked else None))
    start = _merged([t for t in plan.tensors if t.method is None or t.base is None], options)
    for tensor in plan.tensors:
        if tensor.name not in start and tensor.base is not None:
            start[tensor.name] = tensor.base.to_torch().to(torch_type(tensor.dtype))
    direction = {t.name: as_torch(sink.data[t.name], t.shape, t.dtype) for t in moved}
    return Prepared(start, direction, (plan.donor or plan.checkpoints[0]).aliases), sink


def _wide(tensor: Any) -> Any:
    from dataclasses import replace

    return replace(tensor, dtype="F64" if tensor.wide else "F32")


def _state_dict(plan: Plan, options: RunOptions) -> dict[str, Tensor]:
    merged = _merged(plan.tensors, options)
    origin = plan.checkpoints[0]
    for name, tensor in merged.items():
        if name in origin and origin[name].device != "cpu":
            merged[name] = tensor.to(origin[name].device)
    return with_aliases(merged, (plan.donor or origin).aliases)


def _merged(tensors: Sequence[TensorPlan], options: RunOptions) -> dict[str, Tensor]:
    sink = MemorySink((t.name, t.shape, t.dtype) for t in tensors)
    run(tensors, sink, options)
    return {t.name: as_torch(sink.data[t.name], t.shape, t.dtype) for t in tensors}


def with_aliases(state: dict[str, Tensor], aliases: Mapping[str, str]) -> dict[str, Tensor]:
    """The state dict with further names of its tensors, which share their data."""
    return state | {alias: state[name] for alias, name in aliases.items() if name in state and alias not in state}
