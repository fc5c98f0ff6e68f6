"""From recipe to folder, as a user runs it: what transformers loads, what a kill leaves, what bits come out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from modelweave import merge_recipe

Maker = Callable[[], Any]


def llama(**options: Any) -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, **sizes, **options))


KINDS: dict[str, tuple[Maker, Any]] = {
    "llama": (llama, AutoModelForCausalLM),
    "llama tied": (lambda: llama(tie_word_embeddings=True), AutoModelForCausalLM),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=3, n_head=2, n_positions=16)), AutoModelForCausalLM),
    "bert": (
        lambda: BertModel(BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24)),
        AutoModel,
    ),
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints of each kind."""
    root = tmp_path_factory.mktemp("models")
    for kind, (make, _) in KINDS.items():
        for seed, name in enumerate(("base", "a", "b")):
            torch.manual_seed(seed)
            make().save_pretrained(root / kind / name)
    return root


def merged(models: Path, tmp_path: Path, text: str, **options: Any) -> Path:
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(text.replace("@", f"{models}/"))
    return merge_recipe(recipe, tmp_path / "out", **options).folder


TIES = "{merge_method: ties, base_model: '@base', models: [{model: '@a'}, {model: '@b'}], parameters: {weight: 1.0, density: 0.6}}"
STACK = """
merge_method: passthrough
slices:
  - sources: [{model: '@a', layer_range: [0, 2]}]
  - sources: [{model: '@b', layer_range: [0, 3]}]
"""


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_and_runs_every_result(models: Path, tmp_path: Path, kind: str) -> None:
    out = merged(models / kind, tmp_path, TIES)
    network, info = KINDS[kind][1].from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert network(torch.tensor([[1, 2, 3]]))[0].isfinite().all()
    before = sum(f.stat().st_size for f in (models / kind / "a").glob("*.safetensors"))
    assert sum(f.stat().st_size for f in out.glob("*.safetensors")) <= before + 4096  # tied weights are stored once


@pytest.mark.parametrize("kind", KINDS)
def test_stacks_work_on_any_architecture(models: Path, tmp_path: Path, kind: str) -> None:
    out = merged(models / kind, tmp_path, STACK)
    network, info = KINDS[kind][1].from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    config = json.loads((out / "config.json").read_text())
    assert config.get("num_hidden_layers", config.get("n_layer")) == 5
    first, second = (load_file(models / kind / name / "model.safetensors") for name in ("a", "b"))
    found = load_file(out / "model.safetensors")
    assert network(torch.tensor([[1, 2, 3]]))[0].isfinite().all()
    for name, tensor in found.items():
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if place is not None:
            layer = int(parts[place])
            parts[place] = str(layer if layer < 2 else layer - 2)
            source = first if layer < 2 else second
            assert torch.equal(tensor, source[".".join(parts)])


def test_the_record_says_what_happened(models: Path, tmp_path: Path) -> None:
    out = merged(models / "llama", tmp_path, TIES, seed=5)
    record = json.loads((out / "modelweave.json").read_text())
    assert record["seed"] == 5
    assert [i["label"].rsplit("/", 1)[-1] for i in record["inputs"]] == ["base", "a", "b"]
    weights = models / "llama" / "a" / "model.safetensors"
    (file,) = record["inputs"][1]["files"]
    assert file["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert {t["name"] for t in record["tensors"]} == set(load_file(out / "model.safetensors"))
    assert all(t["action"] == "ties" for t in record["tensors"])
    card = (out / "README.md").read_text()
    assert card.startswith("---\nbase_model:") and "base_model_relation: merge" in card and "ties" in card


def test_large_inputs_are_hashed_when_asked(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelweave.checkpoints.opened.HASHED_FREELY", 0)
    hashes = []
    for name, wanted in (("unasked", False), ("asked", True)):
        (tmp_path / name).mkdir()
        out = merged(models / "llama", tmp_path / name, TIES, hash_inputs=wanted)
        hashes.append([i["files"][0].get("sha256") for i in json.loads((out / "modelweave.json").read_text())["inputs"]])
    files = [models / "llama" / name / "model.safetensors" for name in ("base", "a", "b")]
    assert hashes == [[None] * 3, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]]


def test_a_result_is_forced_to_the_disk_when_asked(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    for name, wanted in (("unasked", False), ("asked", True)):
        (tmp_path / name).mkdir()
        merged(models / "llama", tmp_path / name, TIES, sync=wanted)
        assert bool(forced) is wanted


def test_shards_threads_and_memory_give_the_same_tensors(models: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    text = TIES.replace("ties", "dare_ties")
    one = merged(models / "llama", tmp_path / "one", text, threads=1)
    two = merged(models / "llama", tmp_path / "two", text, threads=3, memory=1 << 20, shard_size=3000)
    assert len(list(two.glob("model-*-of-*.safetensors"))) > 2
    tensors = {name: t for file in two.glob("*.safetensors") for name, t in load_file(file).items()}
    for name, tensor in load_file(one / "model.safetensors").items():
        assert torch.equal(tensor, tensors[name])


def test_a_resumed_run_has_the_notes_of_the_first(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TIES.replace("ties", "iso_c").replace(", density: 0.6", "")

    def notes(folder: str, **options: Any) -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        out = merged(models / "llama", tmp_path / folder, text, threads=1, **options)
        return {t["name"]: t["notes"] for t in json.loads((out / "modelweave.json").read_text())["tensors"]}

    def stop(folder: Any, name: str, data: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("modelweave.checkpoints.results.folder.FolderSink.write_file", stop)
        with pytest.raises(KeyboardInterrupt):
            notes("cut")
    again = notes("cut", resume=True)
    assert again == notes("whole") and ["not a matrix: weighted_mean"] in again.values()


def test_the_record_has_every_parameter_as_resolved(models: Path, tmp_path: Path) -> None:
    text = TIES.replace("density: 0.6", "density: [1, 0.5]")
    record = json.loads((merged(models / "llama", tmp_path, text) / "modelweave.json").read_text())
    chosen = {t["name"]: record["parameters"][t["parameters"]] for t in record["tensors"]}
    middle = chosen["model.layers.1.mlp.up_proj.weight"]
    assert middle["method"] == "ties" and middle["parameters"]["normalize"] is True
    assert [(m["model"].rpartition("/")[2], m["density"], m["weight"]) for m in middle["models"]] == [("a", 0.75, 1.0), ("b", 0.75, 1.0)]
    assert len(record["parameters"]) == 3  # a set for each of the three depths


def test_later_documents_use_earlier_ones(models: Path, tmp_path: Path) -> None:
    text = """
name: middle
merge_method: linear
models: [{model: '@a', parameters: {weight: 1}}, {model: '@b', parameters: {weight: 1}}]
---
merge_method: task_arithmetic
base_model: '@base'
models: [{model: middle, parameters: {weight: 0.5}}]
"""
    out = merged(models / "llama", tmp_path, text)
    base, a, b = (load_file(models / "llama" / name / "model.safetensors") for name in ("base", "a", "b"))
    for name, tensor in load_file(out / "model.safetensors").items():
        expected = base[name].double() + 0.5 * ((a[name].double() + b[name].double()) / 2 - base[name].double())
        assert torch.allclose(tensor.double(), expected, atol=1e-7)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "recipe.yml"]


def test_a_method_for_each_group_of_tensors(models: Path, tmp_path: Path) -> None:
    text = """
merge_method: linear
models: [{model: '@a', parameters: {weight: 1}}, {model: '@b', parameters: {weight: 3}}]
base_model: '@base'
overrides: [{filter: mlp, merge_method: task_arithmetic, parameters: {weight: 0.5}}]
"""
    out = merged(models / "llama", tmp_path, text)
    base, a, b = (load_file(models / "llama" / name / "model.safetensors") for name in ("base", "a", "b"))
    found = load_file(out / "model.safetensors")
    mlp, norm = "model.layers.1.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight"
    assert torch.allclose(found[mlp], base[mlp] + 0.5 * (a[mlp] - base[mlp]) + 0.5 * (b[mlp] - base[mlp]), atol=1e-6)
    assert torch.allclose(found[norm], 0.25 * a[norm] + 0.75 * b[norm], atol=1e-6)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
def test_an_adapter_over_a_base_is_merged_as_peft_would(models: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    network = AutoModelForCausalLM.from_pretrained(models / "llama" / "a")
    torch.manual_seed(1)
    tuned = get_peft_model(network, LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "up_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "adapter")
    text = f"{{merge_method: passthrough, models: [{{model: '@a+{tmp_path}/adapter'}}]}}"
    found = load_file(merged(models / "llama", tmp_path, text) / "model.safetensors")
    expected = tuned.merge_and_unload().state_dict()
    for name, tensor in found.items():
        assert torch.allclose(tensor, expected[name], atol=1e-6)


def test_kills_at_any_moment_resume_to_the_same_bytes(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    for seed, name in enumerate(("base", "a", "b")):
        torch.manual_seed(seed)
        (tmp_path / name).mkdir()
        save_file({f"w{i}": torch.randn(1200, 1000) for i in range(24)}, tmp_path / name / "model.safetensors")
    (tmp_path / "recipe.yml").write_text(
        TIES.replace("ties", "della").replace("density: 0.6", "density: 0.6, epsilon: 0.2").replace("@", "")
    )
    command = [sys.executable, "-m", "modelweave", "merge", "recipe.yml", "--threads", "1", "--shard-size", "20MB"]
    subprocess.run([*command, "whole"], cwd=tmp_path, check=True, capture_output=True)
    kills = 0
    while not (tmp_path / "cut").exists():
        child = subprocess.Popen([*command, "cut", "--resume"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(0.3 + 0.6 * random.random() + 0.1 * kills)  # longer each time, for slow machines
            assert child.returncode == 0
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
        assert kills < 80
    assert kills >= 1
    for file in sorted((tmp_path / "whole").iterdir()):
        if file.suffix == ".safetensors":
            assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes()
    assert sorted(os.listdir(tmp_path / "cut")) == sorted(os.listdir(tmp_path / "whole"))


def test_entries_that_are_no_tensors_are_accounted_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.save({"state_dict": {"w": torch.ones(2), "b": torch.zeros(3)}, "epoch": 7}, tmp_path / f"{name}.pt")
    (tmp_path / "recipe.yml").write_text(
        f"{{merge_method: uniform_soup, models: [{{model: {tmp_path}/a.pt}}, {{model: {tmp_path}/b.pt}}]}}"
    )
    result = merge_recipe(tmp_path / "recipe.yml", tmp_path / "out")
    assert any("epoch" in name for name in result.dropped)
    assert load_file(tmp_path / "out" / "model.safetensors")["w"].tolist() == [1, 1]
