"""The example recipes plan without complaint where their models exist, and the scripts hold what they promise."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from modelweave.recipes.language.load import load_recipe
from modelweave.recipes.planning.build import build_plan

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted((EXAMPLES / "recipes").glob("*.yml"))
LAYERS, WIDE = 32, 4


def write_mistral(folder: Path) -> None:
    """A checkpoint with Mistral's names and depth, and next to no width."""
    names = {"model.embed_tokens.weight": (8, WIDE), "model.norm.weight": (WIDE,), "lm_head.weight": (8, WIDE)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        names |= {at + f"{norm}_layernorm.weight": (WIDE,) for norm in ("input", "post_attention")}
        names |= {at + f"self_attn.{part}_proj.weight": (WIDE, WIDE) for part in "qkvo"}
        names |= {at + f"mlp.{part}_proj.weight": (WIDE, WIDE) for part in ("gate", "up", "down")}
    folder.mkdir(parents=True)
    save_file({name: np.zeros(shape, np.float32) for name, shape in names.items()}, folder / "model.safetensors")
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": WIDE,
        "intermediate_size": WIDE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "vocab_size": 8,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))


def plan(recipe: Path, monkeypatch: pytest.MonkeyPatch, folder: Path):
    """The plan of the recipe in a folder where every model it names exists."""
    for name in set(re.findall(r"(?:model|base_model): (\S+)", recipe.read_text())):
        write_mistral(folder / name)
    monkeypatch.chdir(folder)
    return build_plan(load_recipe(recipe)[0], near=recipe.parent)


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.stem for recipe in RECIPES])
def test_recipe_says_when_to_use_it_and_plans(recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert recipe.read_text().startswith("# When: ")
    found = plan(recipe, monkeypatch, tmp_path)
    assert {tensor.dtype for tensor in found.tensors} == {"BF16"}
    # only the override to `linear` has no use for the base, and the plan says so of every tensor
    assert bool(found.dropped) == (recipe.stem == "overrides")
    assert all(reason.startswith("takes no part in overrides[") for reason in found.dropped.values())


def test_frankenmerge_is_deeper_and_scales_the_second_block_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = plan(EXAMPLES / "recipes" / "frankenmerge.yml", monkeypatch, tmp_path)
    assert found.config is not None and found.config["num_hidden_layers"] == 48
    scales = {tensor.name: (dict(tensor.per_input[0]) if tensor.per_input else {}) | dict(tensor.shared) for tensor in found.tensors}
    assert scales["model.layers.30.mlp.down_proj.weight"]["scale"] == 0.7
    assert scales["model.layers.30.mlp.up_proj.weight"].get("scale", 1.0) == 1.0
    assert scales["model.layers.3.mlp.down_proj.weight"].get("scale") in (None, 1.0)


def test_overrides_reach_their_tensors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = plan(EXAMPLES / "recipes" / "overrides.yml", monkeypatch, tmp_path)
    methods = {tensor.name: tensor.method.name for tensor in found.tensors if tensor.method}
    assert methods["model.layers.5.self_attn.q_proj.weight"] == "ties"
    assert methods["model.layers.5.mlp.up_proj.weight"] == "task_arithmetic"
    assert methods["lm_head.weight"] == methods["model.layers.5.input_layernorm.weight"] == "linear"


def test_gradient_runs_opposite_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = plan(EXAMPLES / "recipes" / "slerp-gradient.yml", monkeypatch, tmp_path)
    t = {tensor.name: tensor.shared["t"] for tensor in found.tensors if "t" in tensor.shared}
    first, last = "model.layers.0.", f"model.layers.{LAYERS - 1}."
    assert (t[first + "self_attn.q_proj.weight"], t[last + "self_attn.q_proj.weight"]) == (0, 1)
    assert (t[first + "mlp.up_proj.weight"], t[last + "mlp.up_proj.weight"]) == (1, 0)
    assert t["model.norm.weight"] == 0.5
    # the schedule of Lu, Luu and Buehler 2024, worked by hand for 32 layers
    attention = {0: 0, 1: 0.0645, 7: 0.4516, 8: 0.4935, 15: 0.3129, 16: 0.3258, 23: 0.6871, 24: 0.7290, 31: 1}
    for layer, value in attention.items():
        assert t[f"model.layers.{layer}.self_attn.q_proj.weight"] == pytest.approx(value, abs=5e-5)


def test_two_domains_split_a_module_into_code_and_prose() -> None:
    pytest.importorskip("transformers")
    spec = importlib.util.spec_from_file_location("two_domains", EXAMPLES / "smollm_two_domains.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    parts = script.split_module('"""Prose."""\nx = 1  # why\ndef f():\n    """More."""\n')
    assert parts == {"code": "x = 1\n\ndef f():\n    pass", "docstrings": "Prose.\n\nMore."}
    assert all(yaml.safe_load(text)["merge_method"] == name for name, text in script.RECIPES.items())


def test_ten_runs_merge_in_one_call() -> None:
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((EXAMPLES / "merge_state_dicts.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "modelweave.merge"
    ]
    assert calls == ["modelweave.merge(runs, method='linear', weight=1.0)"]
