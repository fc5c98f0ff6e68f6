"""Spectral methods against slow float64 references written from their papers, and against what must hold exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import modelweave
from modelweave.weights.part import Context
from modelweave.weights.singular import nearest_orthonormal, thin_svd

SHAPES = [(12, 20), (20, 12), (15, 15)]
METHODS = ["tsv_m", "iso_c", "iso_cts", "knots", "core_space", "star", "cart", "swudi"]


def changes(shape: tuple[int, int], members: int = 3, rank: int | None = None, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if rank is None:
        return rng.standard_normal((members, *shape))
    return np.stack([rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) for _ in range(members)])


def merged(method: str, deltas: np.ndarray, dtype: torch.dtype = torch.float64, **options: Any) -> np.ndarray:
    base = {"w": torch.zeros(deltas.shape[1:], dtype=dtype)}
    members = [{"w": torch.tensor(d).to(dtype)} for d in deltas]
    return modelweave.merge(members, method=method, base=base, **options)["w"].double().numpy()


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


def reference_iso_cts(deltas: np.ndarray, fraction: float = 0.8) -> np.ndarray:
    size, n = min(deltas.shape[1:]), len(deltas)
    own = round((size - int(size * fraction)) / n)
    common = size - own * n
    u, s, v = (x for x in svd(deltas.sum(0)))
    us, ss, vs = [u[:, :common]], [s[:common]], [v[:common]]
    for d in deltas:
        a, b, c = svd(d - us[0] @ us[0].T @ d)
        us.append(a[:, :own]), ss.append(b[:own]), vs.append(c[:own])
    return np.concatenate(ss).mean() * polar(np.concatenate(us, 1)) @ polar(np.concatenate(vs, 0))


def reference_star(deltas: np.ndarray, share: float = 0.4) -> np.ndarray:
    total = 0
    for d in deltas:
        u, s, v = svd(d)
        r = int(np.searchsorted(s.cumsum(), s.sum() * share)) + 1
        total = total + u[:, :r] @ np.diag(s[:r]) @ v[:r] * s.sum() / s[:r].sum()
    return total / len(deltas)


def reference_cart(deltas: np.ndarray, share: float = 0.2) -> np.ndarray:
    mean = deltas.mean(0)
    total = mean.copy()
    for d in deltas:
        u, s, v = svd(d - mean)
        k = int(np.ceil(share * len(s)))
        total += u[:, :k] @ np.diag(s[:k]) @ v[:k]
    return total


def reference_swudi(deltas: np.ndarray, time: float = 300, share: float = 0.65) -> np.ndarray:
    norms = (deltas**2).sum((1, 2))
    c = sum(d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    big = sum(d @ d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    values, v = np.linalg.eigh(c)
    f = 1 - np.exp(-time * values)
    f[: len(f) - int(np.ceil(share * len(f)))] = 0
    start = deltas.sum(0)
    safe = np.maximum(values, 1e-8)
    return start - start @ v @ np.diag(f) @ v.T + big @ v @ np.diag(f / safe) @ v.T


REFERENCES: dict[str, Callable[..., np.ndarray]] = {
    "tsv_m": reference_tsv_m,
    "iso_c": reference_iso_c,
    "iso_cts": reference_iso_cts,
    "star": reference_star,
    "cart": reference_cart,
    "swudi": reference_swudi,
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("method", REFERENCES)
def test_as_in_the_paper(method: str, shape: tuple[int, int]) -> None:
    deltas = changes(shape)
    options = {"rank_share": 0.2} if method == "cart" else {}
    expected = REFERENCES[method](deltas)
    assert np.allclose(merged(method, deltas, **options), expected, atol=1e-6)
    assert np.allclose(merged(method, deltas, torch.float32, **options), expected, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_knots_is_ties_on_the_right_factors(shape: tuple[int, int]) -> None:
    deltas = changes(shape, rank=3)
    u, s, v = svd(np.concatenate(deltas, 1))
    kept = s > 1e-9 * s[0]
    u, sv = u[:, kept], np.diag(s[kept]) @ v[kept]
    parts = np.split(sv, 3, axis=1)
    expected = u @ merged("ties", np.stack(parts), density=0.2)
    assert np.allclose(merged("knots", deltas), expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("method", ["knots", "core_space"])
@pytest.mark.parametrize("rank", [2, None])
def test_sums_in_a_space_are_sums(method: str, shape: tuple[int, int], rank: int | None) -> None:
    deltas = changes(shape, rank=rank)
    assert np.allclose(merged(method, deltas, rule="task_arithmetic", weight=[1, 2, 3]), np.einsum("i,ijk", [1, 2, 3], deltas), atol=1e-9)


@pytest.mark.parametrize("rule", ["tsv_m", "iso_c"])
def test_a_core_is_the_reference_factors_core_rotated(rule: str) -> None:
    """The authors' bases come from the stacked LoRA factors; rules that do not see rotations give the same."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 4, 30)), rng.standard_normal((3, 25, 4))
    u, v = svd(np.concatenate(b, 1))[0], svd(np.concatenate(a, 0))[2]
    cores = np.stack([u.T @ bi @ ai @ v.T for ai, bi in zip(a, b, strict=True)])
    expected = u @ REFERENCES[rule](cores) @ v
    assert np.allclose(merged("core_space", b @ a, rule=rule), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["iso_c", "iso_cts", "core_space", "tsv_m", "star", "swudi"])
def test_low_rank_changes_stay_in_their_span(method: str) -> None:
    """Rank-4 changes of a 64 x 64 layer: no energy outside their joint spaces, and the order changes nothing."""
    deltas = changes((64, 64), rank=4)
    result = merged(method, deltas, torch.float32)
    for side in (result, result.T):
        columns = np.concatenate(deltas if side is result else deltas.transpose(0, 2, 1), 1)
        basis = svd(columns)[0][:, :12]
        outside = np.linalg.norm(side - basis @ basis.T @ side) / np.linalg.norm(side)
        assert outside < 1e-4
    turned = merged(method, deltas[::-1].copy(), torch.float32)
    assert np.abs(turned - result).max() < 1e-3 * np.abs(result).max()


@pytest.mark.parametrize("method", METHODS)
def test_changes_of_nothing_and_of_one_kind(method: str) -> None:
    deltas = changes((6, 9))
    assert np.array_equal(merged(method, 0 * deltas), 0 * deltas[0])
    for odd in (deltas * [[[0]], [[0]], [[1]]], np.stack([deltas[0]] * 3), np.repeat(deltas[:, :1], 6, 1)):
        assert np.isfinite(merged(method, odd, torch.float32)).all()
    assert np.isfinite(merged(method, changes((1, 5)), torch.float32)).all()
    assert np.isfinite(merged(method, changes((2, 3), members=7), torch.float32)).all()


def test_identical_members_share_their_directions() -> None:
    delta = changes((6, 9), members=1)[0]
    u, s, v = svd(delta)
    first = u[:, :2] @ np.diag(s[:2]) @ v[:2]
    assert np.allclose(merged("tsv_m", np.stack([delta] * 3)), first, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_other_tensors_are_averaged_and_the_report_says_so(method: str, tmp_path: Any) -> None:
    from safetensors.torch import load_file, save_file

    from modelweave import merge_recipe

    for name, value in (("base", 0.0), ("a", 1.0), ("b", 3.0)):
        save_file(
            {"bias": torch.full((4,), value), "conv": torch.full((2, 2, 3), value), "w": torch.full((2, 2), value)},
            tmp_path / f"{name}.safetensors",
        )
    (tmp_path / "r.yml").write_text(
        f"merge_method: {method}\nbase_model: base.safetensors\nmodels: [{{model: a.safetensors}}, {{model: b.safetensors}}]\n"
    )
    result = merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights["bias"].tolist() == [2] * 4
    assert weights["conv"].unique().tolist() == [2]
    notes = {report.name: report.notes for report in result.tensors}
    assert notes["bias"] == notes["conv"] == ("not a matrix: weighted_mean",) and notes["w"] == ()


def test_swudi_is_the_flow_down_its_loss() -> None:
    deltas = changes((5, 7))
    norms = (deltas**2).sum((1, 2))
    x, step = deltas.sum(0), 1e-3
    for _ in range(3000):
        x = x - step * sum((x - d) @ d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    assert np.allclose(merged("swudi", deltas, time=3.0, rank_share=1.0), x, atol=2e-3)
    loss = [sum(np.linalg.norm((m - d) @ d.T) ** 2 / n for d, n in zip(deltas, norms, strict=True)) for m in (deltas.sum(0), x)]
    best = merged("swudi", deltas, time=1e9, rank_share=1.0)
    c = sum(d.T @ d / n for d, n in zip(deltas, norms, strict=True))
    assert loss[1] < loss[0]
    assert np.allclose(best @ c, sum(d @ d.T @ d / n for d, n in zip(deltas, norms, strict=True)), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_vectors_from_gram_matrices(shape: tuple[int, int]) -> None:
    matrix = changes(shape, members=1)[0]
    u, s, v = (x.numpy() for x in thin_svd(torch.tensor(matrix)))
    assert np.allclose(s, svd(matrix)[1], atol=1e-7)
    assert np.allclose((u * s) @ v.T, matrix, atol=1e-7)
    assert np.allclose(u.T @ u, np.eye(len(s)), atol=1e-6)
    assert thin_svd(torch.tensor(changes(shape, members=1, rank=2)[0]))[1].shape == (2,)
    tall = matrix if shape[0] >= shape[1] else matrix.T
    assert np.allclose(nearest_orthonormal(torch.tensor(tall)).numpy(), polar(tall), atol=1e-6)


def test_cart_with_all_directions_is_the_mean() -> None:
    deltas = changes((6, 9))
    assert np.allclose(merged("cart", deltas, rank_share=1.0), deltas.mean(0), atol=1e-8)
    assert Context("w", ()).members == ()
