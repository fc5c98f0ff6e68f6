"""What several methods' tests share: merging arrays, changes to merge, and decompositions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import modelweave
from modelweave.weights.part import Context

Array = NDArray[np.float64]
SHAPES = [(12, 20), (20, 12), (15, 15)]

by_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def merged_rows(rows: Any, base: Any = None, **options: Any) -> list[float]:
    """The merge of flat rows, rounded so that numbers by hand are equal."""
    start = {"w": torch.tensor(base, dtype=torch.float64)} if base is not None else None
    members = [{"w": torch.tensor(r, dtype=torch.float64)} for r in rows]
    return [round(x, 9) + 0.0 for x in modelweave.merge(members, base=start, **options)["w"].reshape(-1).tolist()]


THREE_ROWS = [
    (0.50, -0.10, 0.05, 0.30, -0.20, 0.01, 0.02, -0.03, 0.40, 0),
    (0.40, 0.20, -0.30, 0.10, -0.25, 0.03, -0.02, 0.60, -0.40, 0.01),
    (-0.60, 0.15, 0.35, -0.20, -0.05, 0.02, 0.04, 0.10, 0.05, -0.70),
]


def kept_by(method: str, delta: torch.Tensor, **options: Any) -> torch.Tensor:
    """The change that a method makes of one member's delta over a base of zeros."""
    return modelweave.merge([{"w": delta}], method=method, base={"w": torch.zeros_like(delta)}, **options)["w"]


def merged_arrays(rows: Any, base: Any = None, **options: Any) -> Array:
    """The merge of arrays over a base, zeros unless given."""
    members = [{"w": torch.tensor(np.asarray(r, np.float64))} for r in rows]
    start = np.zeros_like(rows[0], np.float64) if base is None else np.asarray(base, np.float64)
    return np.asarray(modelweave.merge(members, base={"w": torch.tensor(start)}, **options)["w"].numpy())


def cubes(members: int, *shape: int, seed: int = 0) -> Array:
    """Changes of very different sizes."""
    random = np.random.default_rng(seed)
    return random.standard_normal((members, *shape)) ** 3


def merged_changes(method: str, deltas: np.ndarray, dtype: torch.dtype = torch.float64, base: Any = None, **options: Any) -> np.ndarray:
    """What a method makes of changes, less the base."""
    start = torch.zeros(deltas.shape[1:], dtype=dtype) if base is None else torch.tensor(base).to(dtype)
    members = [{"w": start + torch.tensor(d).to(dtype)} for d in deltas]
    result = modelweave.merge(members, method=method, base={"w": start}, **options)["w"]
    return (result.double() - start.double()).numpy()


def changes(shape: tuple[int, int], members: int = 3, rank: int | None = None, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if rank is None:
        return rng.standard_normal((members, *shape))
    return np.stack([rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) for _ in range(members)])


def svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.linalg.svd(matrix, full_matrices=False)


def polar(matrix: np.ndarray) -> np.ndarray:
    u, _, v = svd(matrix)
    return u @ v


def reference_tsv_m(deltas: np.ndarray) -> np.ndarray:
    k = min(deltas.shape[1:]) // len(deltas)
    parts = [svd(d) for d in deltas]
    u, v = np.concatenate([u[:, :k] for u, _, _ in parts], 1), np.concatenate([v[:k] for _, _, v in parts], 0)
    return polar(u) @ np.diag(np.concatenate([s[:k] for _, s, _ in parts])) @ polar(v)


def reference_iso_c(deltas: np.ndarray) -> np.ndarray:
    u, s, v = svd(deltas.sum(0))
    return s.mean() * u @ v


def check_against(reference: Callable[[np.ndarray], np.ndarray], method: str, shape: tuple[int, int], **options: Any) -> None:
    """The method on changes of full rank is the reference, in float64 and in float32."""
    deltas = changes(shape)
    expected = reference(deltas)
    assert np.allclose(merged_changes(method, deltas, **options), expected, atol=1e-6)
    assert np.allclose(merged_changes(method, deltas, torch.float32, **options), expected, atol=2e-4)


def context(deltas: torch.Tensor, weights: Any = None) -> Context:
    """What a part is told of three changes with these weights."""
    weights = [1.0] * len(deltas) if weights is None else weights
    return Context("w", tuple(deltas.shape[1:]), tuple({"weight": float(w)} for w in weights))
