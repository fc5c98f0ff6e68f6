"""Checkpoints of small arrays, with configs and side files, and recipes planned over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modelweave.checkpoints.tensors import Bytes, Checkpoint, TensorRef
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import build_plan
from modelweave.recipes.planning.plan import Plan, TensorPlan


class ArrayRef(TensorRef):
    def __init__(self, name: str, shape: tuple[int, ...], dtype: str = "BF16") -> None:
        super().__init__(name, shape, dtype)

    def read_into(self, start: int, out: Bytes) -> None:
        out[:] = 0


class Fake(Checkpoint):
    def __init__(self, label: str, tensors: Mapping[str, TensorRef], files: Mapping[str, bytes] | None = None, **kwargs: Any) -> None:
        super().__init__(label, tensors, **kwargs)
        self.files = dict(files or {})

    def side_files(self) -> tuple[str, ...]:
        return tuple(self.files)

    def side_file(self, name: str) -> bytes:
        return self.files[name]


def llama(
    label: str,
    layers: int = 4,
    *,
    rows: int = 32,
    width: int = 4,
    head: bool = True,
    drop: tuple[str, ...] = (),
    extra: Mapping[str, tuple[tuple[int, ...], str]] | None = None,
    dtype: str = "BF16",
    config: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Fake:
    shapes: dict[str, tuple[tuple[int, ...], str]] = {"model.embed_tokens.weight": ((rows, width), dtype)}
    for i in range(layers):
        for rest in ("input_layernorm", "mlp.down_proj", "self_attn.q_proj"):
            shapes[f"model.layers.{i}.{rest}.weight"] = ((width,) if "norm" in rest else (width, width), dtype)
    shapes["model.norm.weight"] = ((width,), dtype)
    if head:
        shapes["lm_head.weight"] = ((rows, width), dtype)
    shapes.update(extra or {})
    tensors = {name: ArrayRef(name, shape, tag) for name, (shape, tag) in shapes.items() if name not in drop}
    base = {"model_type": "llama", "num_hidden_layers": layers, "vocab_size": rows, "torch_dtype": "bfloat16"}
    return Fake(label, tensors, config={**base, **(config or {})}, **kwargs)


def planned(text: str, *checkpoints: Checkpoint, **kwargs: Any) -> Plan:
    (document,) = parse_recipe(text)
    return build_plan(document, opened={c.label: c for c in checkpoints}, **kwargs)


def tensor(plan: Plan, name: str) -> TensorPlan:
    return next(t for t in plan.tensors if t.name == name)


def ramp(count: int) -> np.ndarray[Any, Any]:
    return np.linspace(0, 1, count)
