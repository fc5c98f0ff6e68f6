"""What is merged and blended for the golden record: every method on small fixed checkpoints, every learner on fixed arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import modelweave
from modelweave import LEARNERS, METHODS

SHAPES = {
    "model.embed_tokens.weight": (40, 24),
    "model.layers.0.mlp.up_proj.weight": (24, 32),
    "model.layers.1.mlp.up_proj.weight": (24, 32),
    "model.layers.2.mlp.up_proj.weight": (24, 32),
    "model.norm.weight": (24,),
    "model.conv.weight": (3, 2, 5, 2),
    "scale": (),
}
REQUIRED = {"t": 0.3, "weight": 1.0}
CHOSEN = {"density": 0.5, "epsilon": 0.2, "gamma": 0.1, "select_topk": 0.5}


def state(seed: int, dtype: torch.dtype, near: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    """A checkpoint of multiples of 2^-10, the same on every machine; near: one that it differs from a little."""
    draw = np.random.default_rng(seed)
    found = {}
    for name, shape in SHAPES.items():
        steps = torch.from_numpy(np.asarray(draw.integers(-2000, 2001, shape), np.float64)) / 1024
        found[name] = (steps if near is None else near[name].double() + steps / 8).to(dtype)
    return found


def merges() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name, and the arguments of `merge`."""
    for row in METHODS.values():
        known = {p.name for p in row.parameters}
        options: dict[str, Any] = {p.name: REQUIRED[p.name] for p in row.parameters if p.required}
        options |= {name: value for name, value in CHOSEN.items() if name in known}
        if row.name in ("ram", "ramplus_tl"):
            options["epsilon"] = 1e-5
        if "weight" in known and row.needs.max_models != 1:
            options["weight"] = [0.5, 1.0, 0.25][: row.needs.max_models or 3]
        variants: dict[str, dict[str, Any]] = {"f32": {}, "bf16": {"dtype": "bfloat16"}, "f64": {"dtype": "float64"}}
        variants |= {f"preset-{preset}": {"preset": preset} for preset in row.presets}
        variants |= {"model-wide": {"scope": "model"}} if "scope" in known else {}
        variants |= {"three-draws": {"seeds": 3, "seed": 5}} if "seeds" in known else {}
        variants |= {"by-depth": {"after": "lines"}} if row.needs.base == "required" and "scale" in known else {}
        for word, extra in variants.items():
            chosen = options if "preset" not in extra else {k: v for k, v in options.items() if k == "weight"}
            yield f"{row.name}/{word}", {"method": row.name, **chosen, **extra}


def merged(arguments: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The result of one case."""
    row = METHODS[arguments["method"]]
    dtype = getattr(torch, arguments.get("dtype", "float32"))
    base = state(0, dtype)
    members = [state(seed, dtype, base) for seed in range(1, 1 + (row.needs.max_models or 3))]
    needs_base = row.needs.base in ("required", "first")
    return modelweave.merge(members, base=base if needs_base else None, **arguments)


def on_matrices(arguments: dict[str, Any]) -> bool:
    """Whether a result takes products or decompositions of matrices, whose last bits differ between processors."""
    from modelweave.weights.part import spec_of

    spec = spec_of(METHODS[arguments["method"]].combine)
    return spec.kind == "tensors" and spec.sees == "matrix"


def blends() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name, and the arguments of `blend`."""
    draw = np.random.default_rng(3)
    rows = 240
    numbers = draw.standard_normal(rows)
    y = {"binary": draw.integers(0, 2, rows), "multiclass": draw.integers(0, 3, rows), "regression": numbers}
    segments = np.repeat(["a", "b"], rows // 2)
    for task, target in y.items():
        members = {}
        for i, noise in enumerate((0.8, 1.2, 2.0)):
            if task == "regression":
                members[f"m{i}"] = target + noise * draw.standard_normal(rows)
                continue
            wide = np.eye(3 if task == "multiclass" else 2)[target] + noise * draw.standard_normal((rows, 3 if task == "multiclass" else 2))
            chances = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
            members[f"m{i}"] = chances if task == "multiclass" else chances[:, 1]
        for row in LEARNERS.values():
            if task not in row.tasks or row.name in ("chooser", "cma_es") or (row.name, task) == ("geometric", "regression"):
                continue
            options = {"segments": segments} if row.needs_segments else {}
            yield f"{row.name}/{task}", {"members": members, "y": target, "method": row.name, **options}
