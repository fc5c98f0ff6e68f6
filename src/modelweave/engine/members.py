"""Merging from Python: paths, modules or state dicts in, a state dict or a folder out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ..catalog import METHODS
from ..catalog import method as row_of
from ..checkpoints.decode import as_torch, torch_type
from ..checkpoints.open import open_checkpoint
from ..checkpoints.results.memory_sink import MemorySink
from ..checkpoints.tensors import Checkpoint
from ..errors import CompatibilityError, ModelweaveWarning, ParameterError, unknown, without_secrets
from ..recipes.planning.in_memory import plain, plan_members
from ..recipes.planning.plan import Plan, TensorPlan
from ..weights.method import Method
from .kept import Kept
from .merge import MergeResult, write_plan
from .options import RunOptions
from .run import run

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Model = str | os.PathLike[str] | nn.Module | Mapping[str, Any] | Checkpoint


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
    plan = _plan(models, method, base, dtype, missing, preset, after, seed, parameters, statistics)
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
    plan = _plan(models, method, base, None, missing, preset, after, seed, parameters, statistics)
    options = RunOptions.given(threads=threads, memory=memory, device=device, allow_nonfinite=allow_nonfinite, seed=seed)
    tell(plan.warnings)
    return _direction(plan, options)[0]


def prepare_masked(
    models: Sequence[Model] | Mapping[str, Model], *, method: str, base: Model, missing: str = "error", **options: Any
) -> tuple[Prepared, MemorySink]:
    """As `prepare`, and the sink in which the members' masks are."""
    plan = _plan(models, method, base, None, missing, None, (), 0, {})
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


def _plan(
    models: Any,
    method: str | Method | Callable[..., Any],
    base: Any,
    dtype: Any,
    missing: str,
    preset: str | None,
    after: Any,
    seed: int,
    parameters: Mapping[str, Any],
    statistics: Mapping[str, Any] | None = None,
) -> Plan:
    row, sources = row_of(method), named(models, "merge")
    members = open_members(sources)
    again = [member for (_, source), member in zip(sources, members, strict=True) if _same(source, base)]
    ancestor = again[0] if again else None if base is None else _labelled(open_checkpoint(base), "base")
    if base is not None and not again and row.needs.base == "input" and _is_weighted(row):
        raise ParameterError(f"merge: {row.name} takes a base for a model like all others; list it among the models, with its weight")
    names = [(key, m.label) for (key, _), m in zip(sources, members, strict=True)]
    shared, each = _split(row, parameters, names)
    return plan_members(
        members,
        method=row.name,
        methods={**METHODS, row.name: row},
        base=ancestor,
        parameters=shared,
        per_model=each,
        dtype=None if dtype is None else str(dtype),
        missing=missing,
        preset=preset,
        after=[after] if isinstance(after, (str, Mapping)) else [] if after is None else after,
        seed=seed,
        statistics={word: _beside(word, given, names) for word, given in (statistics or {}).items()},
    )


def _beside(word: str, given: Any, names: Sequence[tuple[Any, str]]) -> list[Checkpoint | None]:
    """One kind of statistics, opened, for each member; names: its key and its label."""
    found = _for_each(word, given, names) if isinstance(given, Mapping) else list(given)
    if len(found) != len(names):
        raise ParameterError(f"merge: {word} of {len(found)} models for {len(names)} models; give one for each model")
    return [None if one is None else open_checkpoint(one, label=f"{word} of {label}") for one, (_, label) in zip(found, names, strict=True)]


def _for_each(word: str, given: Mapping[str, Any], names: Sequence[tuple[Any, str]]) -> list[Any]:
    """What a dict by name says for each member, None where it says nothing; names: its key and its label."""
    known = {name for pair in names for name in pair}
    if strangers := [str(name) for name in given if name not in known]:
        raise ParameterError(f"merge: {word}: " + unknown("model", strangers[0], map(str, known)))
    return [given.get(key, given.get(label)) for key, label in names]


def named(models: Any, who: str) -> list[tuple[Any, Any]]:
    """Several models, each with the name or number that they are given under. Raises CompatibilityError for anything else."""
    whole = hasattr(models, "state_dict") or (isinstance(models, Mapping) and models and all(hasattr(v, "shape") for v in models.values()))
    if whole or isinstance(models, (str, bytes, Checkpoint)) or not isinstance(models, Iterable):
        got = "one model" if whole or isinstance(models, Checkpoint) else repr(models)[:40]
        raise CompatibilityError(f"{who}: expected a list of models or a dict from name to model, got {got}")
    found = list(models.items() if isinstance(models, Mapping) else enumerate(models))
    if not found:
        raise CompatibilityError(f"{who}: no models were given; expected a list of at least one")
    return found


def open_members(models: Sequence[tuple[Any, Any]]) -> list[Checkpoint]:
    """What `named` found, opened; those without a name of their own are called models[0], models[1] and so on."""
    opened = [open_checkpoint(model, label=key if isinstance(key, str) else None) for key, model in models]
    return [_labelled(member, f"models[{i}]") for i, member in enumerate(opened)]


def _same(one: Any, two: Any) -> bool:
    """Whether two sources are one object or one path."""
    paths = [os.fspath(each) for each in (one, two) if isinstance(each, (str, os.PathLike))]
    return one is two or (len(paths) == 2 and paths[0] == paths[1])


def _labelled(checkpoint: Checkpoint, place: str) -> Checkpoint:
    if checkpoint.label in ("", "state dict", "module", "memory"):
        checkpoint.label = place
    return checkpoint


def _split(row: Method, parameters: Mapping[str, Any], labels: Sequence[tuple[Any, str]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Shared parameters, and one dict a member: scalars for all, lists by position, dicts by name. Weights are 1 unless given.

    labels: for each member the key under which it was given, and its label.
    """
    known = {name for pair in labels for name in pair}
    shared: dict[str, Any] = {}
    each: list[dict[str, Any]] = [{"weight": 1.0} if _is_weighted(row) else {} for _ in labels]
    for word, given in parameters.items():
        value = plain(given)
        parameter = row.parameter(word, "merge")
        if parameter.scope == "shared":
            shared[parameter.name] = value
            continue
        strangers = [str(name) for name in value if name not in known] if isinstance(value, Mapping) else []
        if isinstance(value, Mapping) and not (strangers and "value" in value):
            values = _for_each(word, value, labels)
        elif _is_setting(value):
            values = [value] * len(labels)
        elif isinstance(value, list):
            values = value
        else:
            values = [value] * len(labels)
        if len(values) != len(labels):
            raise ParameterError(f"merge: {word} has {len(values)} values for {len(labels)} models; give one, or one for each model")
        for options, v in zip(each, values, strict=True):
            if v is not None:
                options[parameter.name] = v
    return shared, each


def _is_weighted(row: Method) -> bool:
    """Whether each model must have a weight."""
    return any(p.name == "weight" and p.required for p in row.parameters)


def _is_setting(value: Any) -> bool:
    """Whether a value is one setting with filters, for all members alike: a condition or a list of them."""
    conditions = [value] if isinstance(value, Mapping) else value
    return isinstance(conditions, (list, tuple)) and bool(conditions) and all(isinstance(c, Mapping) and "value" in c for c in conditions)


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
