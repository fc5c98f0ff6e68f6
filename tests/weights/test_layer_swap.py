"""Layer swapping and extrapolation: shares by hand, exact copies, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import modelweave
from modelweave import merge_recipe
from modelweave.recipes.planning.in_memory import plan_members


def model(value: float, layers: int = 8, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    names = ["embed.weight", *(f"layers.{i}.{part}" for i in range(layers) for part in ("attn.w", "norm")), "norm.w", "lm_head.w"]
    return {name: torch.full((3,), value, dtype=dtype) for name in names}


def shares(layers: int = 8, **options: Any) -> list[float]:
    """The language expert's share in embeddings, each layer and the head."""
    merged = modelweave.merge([model(0, layers), model(1, layers)], method="layer_swap", **options)
    assert all(torch.equal(merged[f"layers.{i}.attn.w"], merged[f"layers.{i}.norm"]) for i in range(layers))
    assert torch.equal(merged["norm.w"], merged["lm_head.w"])
    return [float(merged[name][0]) for name in ("embed.weight", *(f"layers.{i}.norm" for i in range(layers)), "lm_head.w")]


def test_shares_by_hand() -> None:
    cut = {"bottom": 2, "top": 1, "transition_bottom": 1, "transition_top": 1}
    assert shares(**cut) == [1, 1, 1, 0.5, 0, 0, 0, 0.5, 1, 1]
    assert shares(**cut, transition_weight=0.25)[3] == 0.25
    assert shares(**cut, embed_from="task", head_from="mean") == [0, 1, 1, 0.5, 0, 0, 0, 0.5, 1, 0.5]
    assert shares(bottom=0, top=1, transition_bottom=0, transition_top=0) == [0, *[0] * 7, 1, 1]
    # the paper's 5, 2, 1 and 1 of 32
    assert shares(32) == [1, *[1] * 5, 0.5, *[0] * 23, 0.5, 1, 1, 1]


def test_the_ends_are_the_experts_themselves() -> None:
    generator = torch.Generator().manual_seed(0)
    task, language = ({n: torch.randn(3, generator=generator).bfloat16() for n in model(0)} for _ in range(2))
    nothing = {"bottom": 0, "top": 0, "transition_bottom": 0, "transition_top": 0}
    merged = modelweave.merge([task, language], method="layer_swap", **nothing)
    assert all(torch.equal(merged[n], task[n]) for n in task)
    merged = modelweave.merge([task, language], method="layer_swap", **{**nothing, "bottom": 5, "top": 3})
    assert all(torch.equal(merged[n], language[n]) for n in task)
    base = model(0.5, dtype=torch.bfloat16)
    with_base = modelweave.merge([task, language], method="layer_swap", base=base, **{**nothing, "bottom": 5, "top": 3})
    assert all(torch.allclose(with_base[n], language[n], atol=1e-2) for n in task)


def test_experts_that_changed_different_layers_add_up() -> None:
    base = model(1.0)
    task, language = dict(base), dict(base)
    for i in range(8):
        (language if i < 2 or i == 7 else task)[f"layers.{i}.norm"] = torch.full((3,), 1.0 + i)
    merged = modelweave.merge([task, language], method="layer_swap", bottom=2, top=1, transition_bottom=0, transition_top=0)
    for name in base:
        assert torch.equal(merged[name], task[name] + language[name] - base[name])


def test_more_layers_than_there_are_is_found_while_planning() -> None:
    from modelweave.checkpoints.open import open_checkpoint

    members = [open_checkpoint(model(v)) for v in (0, 1)]
    with pytest.raises(modelweave.ModelweaveError, match=r"layers\.0.*bottom 5, transition_bottom 0.*top 4 are more than the 8 layers"):
        plan_members(members, method="layer_swap", parameters={"bottom": 5, "top": 4})


def test_the_report_says_whose_each_tensor_is(tmp_path: Path) -> None:
    for name, value in (("math", 0.0), ("swahili", 1.0)):
        save_file(model(value), tmp_path / f"{name}.safetensors")
    (tmp_path / "r.yml").write_text("merge_method: layer_swap\nmodels: [{model: math.safetensors}, {model: swahili.safetensors}]\n")
    reports = {r.name: r.notes for r in merge_recipe(tmp_path / "r.yml", tmp_path / "out").tensors}
    assert reports["layers.0.norm"] == ("0 of 'math.safetensors', 1 of 'swahili.safetensors'",)


def test_extrapolation_by_hand() -> None:
    merged = modelweave.merge([{"w": torch.tensor([3.0, 1.0])}], method="expo", base={"w": torch.tensor([1.0, 2.0])}, alpha=0.5)
    assert merged["w"].tolist() == [4.0, 0.5]
    with pytest.raises(modelweave.ModelweaveError, match="takes 1 model beside base_model, got 2"):
        modelweave.merge([{"w": torch.ones(2)}] * 2, method="expo", base={"w": torch.zeros(2)})
