"""Plans for checkpoints that are open already, without a recipe's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...checkpoints.tensors import Checkpoint
from ...errors import RecipeError
from ...weights.method import Method
from ..language.document import validated
from .build import build_plan
from .plan import Plan


def plan_members(
    checkpoints: Sequence[Checkpoint],
    *,
    method: str,
    base: Checkpoint | None = None,
    parameters: Mapping[str, Any] | None = None,
    per_model: Sequence[Mapping[str, Any]] | None = None,
    dtype: str | None = None,
    missing: str = "error",
    shapes: str = "error",
    preset: str | None = None,
    after: Any = (),
    seed: int | None = None,
    statistics: Mapping[str, Sequence[Checkpoint | None]] | None = None,
    methods: Mapping[str, Method] | None = None,
) -> Plan:
    """The plan that the recipe `models: checkpoints` would give.

    parameters: for all. per_model: one mapping a checkpoint, which comes first. A base that is also among the checkpoints
    is the same object there. dtype: of the result, as in "bfloat16". statistics: by word, what stands beside each checkpoint.
    """
    own = [{} for _ in checkpoints] if per_model is None else [dict(values) for values in per_model]
    if len(own) != len(checkpoints):
        raise RecipeError(f"expected parameters for {len(checkpoints)} models, got {len(own)}")
    opened: dict[str, Checkpoint] = {}
    labels = [_entered(checkpoint, opened) for checkpoint in checkpoints]
    models: list[dict[str, Any]] = [{"model": label, "parameters": plain(values)} for label, values in zip(labels, own, strict=True)]
    for word, found in (statistics or {}).items():
        for entry, one in zip(models, found, strict=True):
            if one is not None:
                entry.setdefault("statistics", {})[word] = _entered(one, opened)
    data: dict[str, Any] = {"merge_method": method, "models": models, "parameters": plain(parameters or {})}
    data |= {"missing": missing, "shapes": shapes, "dtype": dtype, "preset": preset, "after": plain(after)}
    if base is not None:
        data["base_model"] = next((label for label, known in opened.items() if known is base), None) or _entered(base, opened)
    return build_plan(validated(data, where="merge"), opened=opened, seed=seed, methods=methods)


def _entered(checkpoint: Checkpoint, opened: dict[str, Checkpoint]) -> str:
    """A label of its own for the checkpoint: several may be called the same."""
    label, number = checkpoint.label or "model", 2
    while label in opened:
        label, number = f"{checkpoint.label} ({number})", number + 1
    opened[label] = checkpoint
    return label


def plain(value: Any) -> Any:
    """A value with numbers and arrays of other libraries as Python's own.

    >>> import numpy as np
    >>> plain({"density": [np.float64(0.5), np.array([1, 2])]})
    {'density': [0.5, [1, 2]]}
    """
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(inner) for inner in value]
    return value.tolist() if callable(getattr(value, "tolist", None)) else value
