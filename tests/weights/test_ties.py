"""TIES, and as the paper and other tools have it: numbers worked by hand, slow references, exact shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import modelweave

from .helpers import THREE_ROWS, kept_by, merged_rows


def test_ties_by_hand() -> None:
    zero = [0.0] * 10
    # two entries a row stay (of equal ones the first), and at place 0 the plus signs win 0.9 to 0.6
    assert merged_rows(THREE_ROWS, zero, method="ties", density=0.2) == [0.45, 0, 0, 0, 0, 0, 0, 0.60, 0.40, -0.70]
    assert merged_rows(THREE_ROWS, zero, method="ties", density=0.5) == [0.45, 0.15, 0.35, 0.30, -0.225, 0, 0, 0.60, 0.40, -0.70]


def test_a_disagreeing_minority_is_left_out() -> None:
    assert merged_rows([(1, -1, 2), (2, 3, -4), (3, 1, 1)], [0, 0, 0], method="ties") == [2, 2, -4]


def test_lambda_is_another_name_of_scale() -> None:
    assert merged_rows([(3, 5)], [1, 2], method="ties", **{"lambda": 0.5}) == merged_rows([(3, 5)], [1, 2], method="ties", scale=0.5)


def test_equal_magnitudes_rank_by_place() -> None:
    delta = torch.tensor([1.0, -1.0] * 600_000)  # two units of work, every magnitude equal
    found = kept_by("ties", delta, density=0.7)
    assert torch.equal((found != 0).nonzero().reshape(-1), torch.arange(840_000))
    crumbs = kept_by("breadcrumbs", delta, density=0.3, gamma=0.5)
    assert torch.equal((crumbs != 0).nonzero().reshape(-1), torch.arange(600_000, 960_000))


@pytest.mark.parametrize("seed", range(6))
def test_top_shares_are_exact_on_awkward_values(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(70_000, generator=generator, dtype=torch.float64)
    delta = {
        0: delta,
        1: delta.round(decimals=1),
        2: delta * 10.0 ** torch.randint(-30, 30, (70_000,), generator=generator).double(),
        3: delta.sign(),
        4: torch.where(delta > 1, delta, 0.0),
        5: torch.linspace(1, 1 + 1e-12, 70_000, dtype=torch.float64).float().double() + delta * 0,
    }[seed].float()
    for density in (0.01, 0.2, 0.77):
        found = kept_by("ties", delta, density=density, scale=1.0)
        order = torch.sort(delta.abs(), descending=True, stable=True).indices[: int(density * 70_000)]
        expected = torch.zeros_like(delta)
        expected[order] = delta[order]
        assert torch.equal(found, expected)


ROWS = np.array(THREE_ROWS)


def ties(rows: Any = ROWS, cuts: tuple[int, ...] = (), **options: Any) -> list[float]:
    """The merged direction of flat task vectors, stored as several tensors cut at these places."""

    def stored(row: Any) -> dict[str, torch.Tensor]:
        return {f"layer.{i}": torch.tensor(part) for i, part in enumerate(np.split(np.asarray(row, np.float64), cuts))}

    merged = modelweave.merge([stored(row) for row in rows], method="ties", base=stored(0 * np.asarray(rows[0])), **options)
    return np.concatenate([merged[name].numpy() for name in merged]).round(9).tolist()


@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 7)], ids=str)
def test_the_authors_code_by_hand(cuts: tuple[int, ...]) -> None:
    assert ties(cuts=cuts, preset="paper") == [0.45, 0, 0.35, 0.30, 0, 0, 0, 0.60, 0.40, -0.70]
    assert ties(cuts=cuts, preset="paper", normalize=False) == [0.90, 0, 0.35, 0.30, 0, 0, 0, 0.60, 0.40, -0.70]
    assert ties(cuts=cuts, preset="paper", density=0.5) == [0.45, 0.175, 0.20, 0.30, -0.225, 0, 0, 0.35, 0.40, -0.70]
    thirds = [round(0.3 * x, 9) for x in (0.90, 0, 0.35, 0.30, 0, 0, 0, 0.60, 0.40, -0.70)]
    assert ties(cuts=cuts, preset="fusionbench") == thirds


@pytest.mark.parametrize("preset", ["mergekit", "peft", None])
def test_mergekit_and_peft_by_hand(preset: str | None) -> None:
    assert ties(preset=preset, density=0.2) == [0.45, 0, 0, 0, 0, 0, 0, 0.60, 0.40, -0.70]
    assert ties(preset=preset, density=0.5) == [0.45, 0.15, 0.35, 0.30, -0.225, 0, 0, 0.60, 0.40, -0.70]


def reference_ties(rows: Any, density: float) -> Any:
    """TIES as published, in slow steps: trim, elect by mass, mean of those that agree."""
    trimmed = np.array(rows, np.float64)
    for row in trimmed:
        edge = np.sort(np.abs(row))[len(row) - int(density * len(row)) - 1]
        row[np.abs(row) < edge] = 0
    signs = np.sign(trimmed.sum(0))
    majority = np.sign(signs.sum())
    signs[signs == 0] = majority
    agree = np.where(signs > 0, trimmed > 0, trimmed < 0)
    return (trimmed * agree).sum(0) / np.maximum(agree.sum(0), 1)


@pytest.mark.parametrize("coarse", [False, True])
def test_the_paper_on_several_tensors(coarse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4, 9000))
    rows = np.round(rows * 4) / 4 if coarse else rows  # many equal magnitudes, many sums of exactly 0
    expected = reference_ties(rows, 0.2)
    for kernels in ("", "1"):
        monkeypatch.setenv("MODELWEAVE_TORCH_KERNELS", kernels)
        assert np.allclose(ties(rows, (10, 4000, 4001), preset="paper"), expected, atol=1e-8)


def test_peft_by_its_own_function() -> None:
    from peft.utils.merge_utils import ties as theirs

    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(40, 30, generator=generator) for _ in range(3)]
    weights = torch.tensor([0.5, 1.0, 2.0])
    base = {"w": torch.zeros(40, 30)}
    merged = modelweave.merge([{"w": d} for d in deltas], method="ties", base=base, preset="peft", density=0.3, weight=weights.tolist())
    assert torch.allclose(merged["w"], theirs(deltas, weights, 0.3), atol=1e-6)


def test_several_types_are_ranked_together() -> None:
    base = {"a": torch.zeros(3), "b": torch.zeros(2, 2, dtype=torch.bfloat16)}
    member = {"a": torch.tensor([1.0, -5, 0.5]), "b": torch.tensor([[4.0, 3], [-2, 0.25]], dtype=torch.bfloat16)}
    merged = modelweave.merge([member], method="ties", base=base, scope="model", density=0.5)
    assert merged["a"].tolist() == [0, -5, 0] and merged["a"].dtype == torch.float32
    assert merged["b"].tolist() == [[4, 3], [0, 0]] and merged["b"].dtype == torch.bfloat16


def test_different_parameters_cannot_be_ranked_together(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    for name, value in (("base", 0.0), ("a", 1.0)):
        save_file({"x": torch.full((4,), value), "y": torch.full((4,), value)}, tmp_path / f"{name}.safetensors")
    (tmp_path / "r.yml").write_text(
        "merge_method: ties\nbase_model: base.safetensors\npreset: paper\n"
        "models: [{model: a.safetensors, parameters: {weight: [{filter: x, value: 2}, {value: 1}]}}]\n"
    )
    from modelweave import merge_recipe

    with pytest.raises(modelweave.ModelweaveError, match="scope 'model' ranks it together with x.*set scope to 'tensor'"):
        merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_presets_that_do_not_exist_are_refused() -> None:
    with pytest.raises(modelweave.ModelweaveError, match="unknown preset 'papr', ties has mergekit, paper, fusionbench, peft"):
        modelweave.merge([{"w": torch.ones(2)}], method="ties", base={"w": torch.ones(2)}, preset="papr")


@pytest.mark.filterwarnings("ignore:the inputs have different types")
@pytest.mark.parametrize("kernels", ["", "1"])
def test_parts_of_a_joint_ranking_are_rounded_to_their_own_types(kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWEAVE_TORCH_KERNELS", kernels)
    eight = torch.float8_e4m3fn
    base = {"a": torch.zeros(4).to(eight), "b": torch.zeros(4)}
    member = {"a": torch.full((4,), 6.0).to(eight), "b": torch.ones(4)}
    found = modelweave.merge([member, member], method="ties", base=base, density=1.0, scope="model")
    assert found["a"].dtype == eight and found["a"].float().tolist() == [6] * 4 and found["b"].tolist() == [1] * 4


@pytest.mark.filterwarnings("ignore:the inputs have different types")
def test_a_joint_ranking_refuses_what_a_type_cannot_hold() -> None:
    base = {"a": torch.zeros(4, dtype=torch.float16), "b": torch.zeros(4)}
    member = {"a": torch.full((4,), 60000.0, dtype=torch.float16), "b": torch.ones(4)}
    for scope in ("tensor", "model"):
        with pytest.raises(modelweave.ModelweaveError, match="a: a merged value does not fit float16"):
            modelweave.merge([member, member], method="ties", base=base, density=1.0, scope=scope, scale=2.0)
