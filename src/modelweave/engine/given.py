"""What a caller of `merge` gives, in any of its forms: models by list or name, values for all or each, what stands beside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..catalog import METHODS
from ..catalog import method as row_of
from ..checkpoints.open import open_checkpoint
from ..checkpoints.tensors import Checkpoint
from ..errors import CompatibilityError, ParameterError, unknown
from ..recipes.planning.in_memory import plain, plan_members
from ..recipes.planning.plan import Plan
from ..weights.method import Method

if TYPE_CHECKING:
    from torch import nn

    Model = str | os.PathLike[str] | nn.Module | Mapping[str, Any] | Checkpoint


def plan_given(
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
