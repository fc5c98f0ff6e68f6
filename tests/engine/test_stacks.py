"""Stacks of architectures that are no plain decoders: what is written loads without a missing or strange tensor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

import modelweave
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import build_plan

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
T5 = {"vocab_size": 20, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 3, "num_heads": 2}
MOE = {
    **SMALL,
    "vocab_size": 20,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "num_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 8,
}


def save(folder: Path, make: Callable[[], Any]) -> None:
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        make().save_pretrained(folder / name)


def merged(folder: Path, text: str, kind: Any) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """The loaded result, its config and the merge's warnings."""
    (folder / "r.yml").write_text(text)
    result = modelweave.merge_recipe(folder / "r.yml", folder / "out")
    model, info = kind.from_pretrained(folder / "out", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    return model, json.loads((folder / "out" / "config.json").read_text()), result.warnings


STACK = """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [0, 3]}]
"""
SIDE = """
merge_method: passthrough
modules:
  {cut}: {{slices: [{{sources: [{{model: a, layer_range: [0, 2]}}]}}]}}
  {kept}: {{models: [{{model: a}}]}}
"""
GRADIENT = """
merge_method: linear
models: [{model: a, parameters: {weight: [0, 1]}}, {model: b, parameters: {weight: 1}}]
parameters: {normalize: false}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_vision_transformer(tmp_path: Path) -> None:
    save(tmp_path, lambda: hf.ViTForImageClassification(hf.ViTConfig(**SMALL, image_size=8, patch_size=4, num_labels=3)))
    _, config, warnings = merged(tmp_path, STACK, hf.ViTForImageClassification)
    assert config["num_hidden_layers"] == 5 and not warnings


@pytest.mark.parametrize("cut", ["encoder", "decoder"])
def test_one_side_of_an_encoder_decoder_whose_config_counts_one_side(tmp_path: Path, cut: str) -> None:
    save(tmp_path, lambda: hf.T5ForConditionalGeneration(hf.T5Config(**T5)))
    for name in "ab":
        config = json.loads((tmp_path / name / "config.json").read_text())
        config.pop("num_decoder_layers", None)
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    kept = {"encoder": "decoder", "decoder": "encoder"}[cut]
    model, _, _ = merged(tmp_path, SIDE.format(cut=cut, kept=kept), hf.T5ForConditionalGeneration)
    assert {"encoder": len(model.encoder.block), "decoder": len(model.decoder.block)} == {cut: 2, kept: 3}


def test_lists_that_have_the_length_by_chance_stay(tmp_path: Path) -> None:
    save(tmp_path, lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, vocab_size=20, eos_token_id=[1, 2, 3])))
    _, config, _ = merged(tmp_path, STACK, hf.LlamaForCausalLM)
    assert config["eos_token_id"] == [1, 2, 3] and config["num_hidden_layers"] == 5


def test_kinds_of_layers_listed_by_number_move_along(tmp_path: Path) -> None:
    save(tmp_path, lambda: hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**MOE, mlp_only_layers=[0, 2])))
    _, config, _ = merged(tmp_path, STACK, hf.Qwen3MoeForCausalLM)
    assert config["mlp_only_layers"] == [0, 2, 4]


def test_kinds_of_layers_by_a_rule_are_warned_of(tmp_path: Path) -> None:
    save(tmp_path, lambda: hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**MOE, decoder_sparse_step=1)))
    _, _, warnings = merged(tmp_path, STACK, hf.Qwen3MoeForCausalLM)
    assert any("tells kinds of layers by their number (decoder_sparse_step)" in warning for warning in warnings)


def with_further_layer(folder: Path) -> None:
    """A decoder with one more layer than it counts, as those that also predict a second token have."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    extra = {name.replace("layers.2.", "layers.3."): value.clone() for name, value in weights.items() if "layers.2." in name}
    save_file(
        {**weights, **extra, "model.layers.3.eh_proj.weight": torch.zeros(16, 32)}, folder / "model.safetensors", metadata={"format": "pt"}
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_nextn_predict_layers": 1}))


def test_layers_beyond_those_that_count_as_depth(tmp_path: Path) -> None:
    save(tmp_path, lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, vocab_size=20)))
    for name in "ab":
        with_further_layer(tmp_path / name)
    (plan,) = (build_plan(document) for document in parse_recipe(GRADIENT))
    weights = {t.name: t.per_input[0]["weight"] for t in plan.tensors if t.name.endswith("q_proj.weight")}
    assert [weights[f"model.layers.{i}.self_attn.q_proj.weight"] for i in range(3)] == [0, 0.5, 1]
    assert "model.layers.3.eh_proj.weight" in {t.name for t in plan.tensors}
    model, config, _ = merged(tmp_path, STACK, hf.LlamaForCausalLM)
    assert config["num_hidden_layers"] == len(model.model.layers) == 5 and config["num_nextn_predict_layers"] == 0


def test_other_towers_stay_whole_when_the_language_model_is_cut(tmp_path: Path) -> None:
    vision = hf.CLIPVisionConfig(**{**SMALL, "num_hidden_layers": 2}, image_size=8, patch_size=4)
    text = hf.LlamaConfig(**SMALL, vocab_size=20)
    save(tmp_path, lambda: hf.LlavaForConditionalGeneration(hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=19)))
    cut = STACK.replace("[0, 3]", "[1, 3]").replace("[0, 2]", "[0, 1]")
    model, config, _ = merged(tmp_path, cut, hf.LlavaForConditionalGeneration)
    assert config["text_config"]["num_hidden_layers"] == 3
    first = hf.LlavaForConditionalGeneration.from_pretrained(tmp_path / "a").state_dict()
    for name, value in model.state_dict().items():
        if "vision_tower" in name or "projector" in name:
            assert torch.equal(value, first[name]), name
