"""The same model under other names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import modelweave
from modelweave.recipes.planning.spelling import respelt, spelling

from ..helpers import Fake, llama, planned


@pytest.mark.parametrize(
    ("names", "like", "expected"),
    [
        (["a.w", "b.w"], ["a.w", "b.w", "c.w"], {}),
        (["h.0.w", "h.1.w", "ln.w"], ["t.h.0.w", "t.h.1.w", "t.ln.w"], {"h.0.w": "t.h.0.w", "h.1.w": "t.h.1.w", "ln.w": "t.ln.w"}),
        (["module.w", "module.b"], ["w", "b"], {"module.w": "w", "module.b": "b"}),
        (["a.b.w", "a.b.v"], ["w", "v"], {"a.b.w": "w", "a.b.v": "v"}),
        (["n.gamma", "n.beta", "w"], ["n.weight", "n.bias", "w"], {"n.gamma": "n.weight", "n.beta": "n.bias"}),
        (["h.gamma", "h.w"], ["t.h.weight", "t.h.w"], {"h.gamma": "t.h.weight", "h.w": "t.h.w"}),
        (["head", "t.a", "t.b", "t.c"], ["a", "b", "c"], {"t.a": "a", "t.b": "b", "t.c": "c"}),  # a head comes first and has no partner
        (["w"], ["fc.w"], {}),  # one name alone says too little
        (["x.w", "y.w", "z.w", "q.w"], ["t.x.w"], {}),
        (["w", "b"], ["one.w", "one.b", "two.w", "two.b"], {}),  # a layer of a model is not the model
        (["w", "b"], ["t.w", "t.b", "x", "y", "z"], {}),
        (["n.gamma", "n.weight"], ["n.weight"], {}),
        (["gamma", "n.weight"], ["n.weight"], {}),
    ],
)
def test_by_hand(names: list[str], like: list[str], expected: dict[str, str]) -> None:
    assert spelling(dict.fromkeys(names, (2,)), dict.fromkeys(like, (2,))) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "same"), [((2, 3), (5, 3), True), ((2, 3), (2, 4), False), ((2,), (3,), False), ((2,), (2, 1), False)]
)
def test_shapes_must_agree_but_for_the_tokens(ours: tuple[int, ...], theirs: tuple[int, ...], same: bool) -> None:
    names = {"a": ours, "b": (1,), "c": (1,)}
    assert spelling(names, {f"t.{name}": shape for name, shape in names.items()} | {"t.a": theirs}).get("a") == ("t.a" if same else None)


def test_two_prefixes_that_fit_as_well_are_none() -> None:
    encoder = {f"layers.{i}.w": (2, 2) for i in range(8)}
    whole = {f"{side}.{name}": shape for side in ("encoder", "decoder") for name, shape in encoder.items()}
    assert spelling(encoder, whole) == {}


def test_another_kind_of_model_is_not_taken_by_a_prefix() -> None:
    shapes = {"a": np.zeros(2), "b": np.zeros(2), "n.gamma": np.zeros(2)}
    like = Fake("like", {f"t.{name}": value for name, value in shapes.items()}, config={"model_type": "x"})  # type: ignore[dict-item]
    assert set(respelt(Fake("one", shapes, config={"model_type": "x"}), like)) == set(like)  # type: ignore[dict-item]
    assert set(respelt(Fake("one", shapes, config={"model_type": "y"}), like)) == set(shapes)  # type: ignore[dict-item]
    assert set(respelt(Fake("one", shapes), like)) == set(like)  # type: ignore[dict-item]


def test_gpt2_with_and_without_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "a", "b")):
        torch.manual_seed(seed)
        GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=2, n_positions=8)).save_pretrained(name)
    old = {name.removeprefix("transformer."): value for name, value in load_file("a/model.safetensors").items()}
    plain = merged("plain")
    save_file(old, "a/model.safetensors", metadata={"format": "pt"})
    assert merged("prefixed").keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in load_file("prefixed/model.safetensors").items())
    AutoModelForCausalLM.from_pretrained("prefixed")


def merged(out: str) -> dict[str, Any]:
    Path("r.yml").write_text("merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {density: 0.5}\n")
    result = modelweave.merge_recipe("r.yml", out)
    assert not result.dropped
    return load_file(f"{out}/model.safetensors")


def test_the_plan_says_so() -> None:
    old = llama("a")
    names = dict(old.items())
    old._tensors = {name.removeprefix("model."): ref for name, ref in names.items()}
    plan = planned("merge_method: task_arithmetic\nbase_model: base\nmodels: [{model: a}]\n", llama("base"), old)
    assert not plan.dropped and {t.method.name for t in plan.tensors if t.method} == {"task_arithmetic"}
    assert any("are taken by the names of 'base', as embed_tokens.weight for model.embed_tokens.weight" in w for w in plan.warnings)


def test_state_dicts_of_a_wrapped_module_merge_with_plain_ones() -> None:
    plain = {"w": torch.zeros(2), "b": torch.zeros(2)}
    wrapped = {f"module.{name}": value + 2 for name, value in plain.items()}
    with pytest.warns(modelweave.errors.ModelweaveWarning, match="2 tensors are taken by the names of"):
        found = modelweave.merge([plain, wrapped])
    assert {name: value.tolist() for name, value in found.items()} == {"w": [1, 1], "b": [1, 1]}


def test_everything_but_the_names_is_the_checkpoints_own() -> None:
    one = Fake("a", {"x.w": np.zeros(1), "x.b": np.zeros(1)}, files={"tokenizer.json": b"{}"}, aliases={"x.head": "x.w"})  # type: ignore[dict-item]
    two = respelt(one, Fake("base", {"w": np.zeros(1), "b": np.zeros(1)}))  # type: ignore[dict-item]
    assert set(two) == {"w", "b"} and two.aliases == {"x.head": "w"} and two.side_files() == ("tokenizer.json",)
    assert two.side_file("tokenizer.json") == b"{}" and two.label == "a"
