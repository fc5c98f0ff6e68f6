"""What all methods that decompose matrices keep: spans, odd changes, and other tensors averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelweave.weights.singular import nearest_orthonormal, thin_svd

from .helpers import SHAPES, changes, merged_changes, polar, svd

METHODS = ["tsv_m", "iso_c", "iso_cts", "knots", "core_space", "star", "cart", "swudi"]


@pytest.mark.parametrize("method", ["iso_c", "iso_cts", "core_space", "tsv_m", "star", "swudi"])
def test_low_rank_changes_stay_in_their_span(method: str) -> None:
    """Rank-4 changes of a 64 x 64 layer: no energy outside their joint spaces, and the order changes nothing."""
    deltas = changes((64, 64), rank=4)
    result = merged_changes(method, deltas, torch.float32)
    for side in (result, result.T):
        columns = np.concatenate(deltas if side is result else deltas.transpose(0, 2, 1), 1)
        basis = svd(columns)[0][:, :12]
        outside = np.linalg.norm(side - basis @ basis.T @ side) / np.linalg.norm(side)
        assert outside < 1e-4
    turned = merged_changes(method, deltas[::-1].copy(), torch.float32)
    assert np.abs(turned - result).max() < 1e-3 * np.abs(result).max()


@pytest.mark.parametrize("method", METHODS)
def test_changes_of_nothing_and_of_one_kind(method: str) -> None:
    deltas = changes((6, 9))
    assert np.array_equal(merged_changes(method, 0 * deltas), 0 * deltas[0])
    odd = [
        deltas * [[[0]], [[0]], [[1]]],
        np.stack([deltas[0]] * 3),
        np.repeat(deltas[:, :1], 6, 1),
        changes((1, 5)),
        changes((2, 3), members=7),
    ]
    for few in odd:
        size = np.linalg.norm(merged_changes(method, few, torch.float32))
        assert 0 < size <= 1.5 * np.linalg.norm(few, axis=(1, 2)).sum()


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
