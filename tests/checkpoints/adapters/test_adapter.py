"""LoRA adapters against PEFT's own merge, by hand, and adapters that do not fit."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modelweave.checkpoints.adapters.adapter_config import AdapterConfig
from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError

from ..formats.test_safetensors_file import as_torch

SETTINGS = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q"]}


def llama(folder: Path, dtype: torch.dtype = torch.float32, tied: bool = False) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=20,
        tie_word_embeddings=tied,
        attention_bias=True,
    )
    model = LlamaForCausalLM(config).to(dtype)
    model.save_pretrained(folder)
    return model


def adapt(model: nn.Module, folder: Path, *, embeddings: bool = False, **settings: Any) -> nn.Module:
    """Save a random adapter and return PEFT's merged model."""
    from peft import LoraConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(**settings))
        generator = torch.Generator().manual_seed(1)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter.dtype) * 0.3
        adapted.save_pretrained(folder, save_embedding_layers=embeddings or "auto")
        return adapted.merge_and_unload()


def compare(found: Any, merged: nn.Module, tolerance: float) -> None:
    expected = merged.state_dict()
    for name, tensor in expected.items():
        ref = found[found.aliases.get(name, name)]
        assert ref.shape == tuple(tensor.shape), name
        assert torch.allclose(as_torch(ref).double(), tensor.double(), atol=tolerance, rtol=tolerance), name
    assert set(found) | set(found.aliases) == set(expected)


ATTENTION = ["q_proj", "v_proj", "down_proj"]
CASES: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION},
    "rslora": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION, "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ATTENTION,
        "rank_pattern": {r"layers\.1\.self_attn\.q_proj": 2, "down_proj": 3},
        "alpha_pattern": {"v_proj": 5, r"model\.layers\.0\.mlp\.down_proj": 7, "own_proj": 99},
    },
    "patterns and rslora": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ATTENTION,
        "use_rslora": True,
        "rank_pattern": {"q_proj": 6},
        "alpha_pattern": {r".*\.1\..*q_proj": 3},
    },
    "head, embedding and whole modules": {"r": 2, "target_modules": ["embed_tokens", "lm_head"], "modules_to_save": ["input_layernorm"]},
    "bias of B": {"r": 2, "target_modules": ["q_proj"], "lora_bias": True},
    "biases": {"r": 2, "target_modules": ["q_proj"], "bias": "all"},
    "biases and a whole module": {"r": 2, "target_modules": ["q_proj"], "bias": "all", "modules_to_save": ["v_proj"]},
    "biases of adapted layers": {"r": 2, "target_modules": ["q_proj"], "bias": "lora_only"},
}


@pytest.mark.parametrize("case", CASES)
def test_as_peft_merges_it(case: str, tmp_path: Path) -> None:
    merged = adapt(llama(tmp_path / "base"), tmp_path / "adapter", **CASES[case])
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    compare(found, merged, 1e-5)
    assert found.warnings == () and found.config["model_type"] == "llama"
    assert "config.json" in found.side_files()
    record = found.provenance()["adapter"]
    assert (record["label"], record["path"]) == (str(tmp_path / "adapter"), "adapter")


def test_low_precision_is_summed_in_float32(tmp_path: Path) -> None:
    merged = adapt(llama(tmp_path / "base", torch.bfloat16), tmp_path / "adapter", **CASES["plain"])
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    ref = found["model.layers.0.self_attn.q_proj.weight"]
    assert (ref.dtype, ref.stored) == ("F32", "BF16")
    assert found["model.norm.weight"].dtype == "BF16"
    compare(found, merged, 2e-2)


def test_conv1d_and_torch_files(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20, n_positions=8, tie_word_embeddings=False))
    model.save_pretrained(tmp_path / "base")
    # c_proj is square, so only fan_in_fan_out tells its orientation
    merged = adapt(model, tmp_path / "adapter", r=2, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    compare(open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}"), merged, 1e-5)
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    torch.save(weights, tmp_path / "adapter" / "adapter_model.bin")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    compare(open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}"), merged, 1e-5)


@pytest.mark.parametrize("settings", [{"target_modules": ["query_key_value", "lm_head"]}, {"modules_to_save": ["lm_head"]}])
def test_a_head_goes_by_another_name_in_files_than_in_the_model(tmp_path: Path, settings: dict[str, Any]) -> None:
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 20}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, tie_word_embeddings=False))
    model.save_pretrained(tmp_path / "base")
    (stored,) = {"embed_out.weight", "lm_head.weight"} & load_file(tmp_path / "base" / "model.safetensors").keys()
    merged = adapt(model, tmp_path / "adapter", r=2, **{"target_modules": ["query_key_value"], **settings}).state_dict()
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    assert torch.allclose(as_torch(found[stored]), merged["lm_head.weight"], atol=1e-5)


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.point, self.line = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1), nn.Conv1d(2, 3, 5)


def test_square_matrices_of_gpt2_beside_an_adapted_linear(tmp_path: Path) -> None:
    """PEFT writes one fan_in_fan_out for all modules, that of the last one."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, n_positions=8, tie_word_embeddings=False))
    model.save_pretrained(tmp_path / "base")
    merged = adapt(model, tmp_path / "adapter", r=2, target_modules=["c_proj", "lm_head"])
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["fan_in_fan_out"] is False
    compare(open_checkpoint(f"{tmp_path}/base+{tmp_path}/adapter"), merged, 1e-5)


def test_a_changed_setting_changes_the_fingerprint_and_the_record(tmp_path: Path) -> None:
    adapt(llama(tmp_path / "base"), tmp_path / "adapter", r=2, lora_alpha=4, target_modules=["q_proj"])
    one = open_checkpoint(f"{tmp_path}/base+{tmp_path}/adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": 40}))
    two = open_checkpoint(f"{tmp_path}/base+{tmp_path}/adapter")
    assert one.fingerprint() != two.fingerprint()
    assert [c.provenance()["adapter"]["settings"]["alpha"] for c in (one, two)] == [4, 40]


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ({"rank_pattern": {"(.*.*)*!": 4}}, "could be matched for ever"),
        ({"alpha_pattern": {".*.*.*.*x": 4}}, "could be matched for ever"),
        ({"modules_to_save": "lm_head"}, "modules_to_save must be a list of names"),
        ({"modules_to_save": 5}, "modules_to_save must be a list of names"),
    ],
)
def test_settings_that_would_hang_or_mislead(tmp_path: Path, setting: dict[str, Any], part: str) -> None:
    adapt(llama(tmp_path / "base"), tmp_path / "adapter", r=2, target_modules=["q_proj"])
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **setting}))
    with pytest.raises(CheckpointError, match=part):
        open_checkpoint(f"{tmp_path}/base+{tmp_path}/adapter")


def test_convolutions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Convolutions()
    (tmp_path / "base").mkdir()
    save_file(model.state_dict(), tmp_path / "base" / "model.safetensors")
    merged = adapt(model, tmp_path / "adapter", r=2, lora_alpha=3, target_modules=["wide", "point", "line"])
    compare(open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}"), merged, 1e-5)


def test_an_embedding_of_a_tied_model_changes_both(tmp_path: Path) -> None:
    merged = adapt(llama(tmp_path / "base", tied=True), tmp_path / "adapter", r=2, target_modules=["embed_tokens"])
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    assert found.aliases == {"lm_head.weight": "model.embed_tokens.weight"}
    assert "both change" in found.warnings[0]
    compare(found, merged, 1e-5)


def test_a_tied_head_that_is_adapted_alone_is_untied(tmp_path: Path) -> None:
    adapt(llama(tmp_path / "base", tied=True), tmp_path / "adapter", r=2, target_modules=["lm_head"])
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a, b = (weights[f"base_model.model.lm_head.lora_{side}.weight"] for side in "AB")
    embedding = as_torch(found["model.embed_tokens.weight"])
    assert torch.allclose(as_torch(found["lm_head.weight"]), embedding + 4 * b @ a, atol=1e-5)
    assert found.aliases == {} and found.config["tie_word_embeddings"] is False
    assert "no longer tied" in found.warnings[0]


TIES = {
    "the embedding trained whole": ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, False),
    "the head trained whole": ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False),
    "both trained whole": ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}, False),
    "trained whole as one": ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True),
    "both stored": ({"target_modules": ["q_proj"]}, True),
}


@pytest.mark.parametrize("case", TIES)
def test_ties_hold_where_peft_keeps_them(tmp_path: Path, case: str) -> None:
    settings, tied = TIES[case]
    merged = adapt(llama(tmp_path / "base", tied=True), tmp_path / "adapter", embeddings=case == "both stored", r=2, **settings)
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    head = merged.lm_head.weight
    assert torch.equal(as_torch(found[found.aliases.get("lm_head.weight", "lm_head.weight")]), head)
    assert torch.equal(as_torch(found["model.embed_tokens.weight"]), merged.model.embed_tokens.weight)
    assert (head.data_ptr() == merged.model.embed_tokens.weight.data_ptr()) == tied
    assert bool(found.aliases) == tied == found.config["tie_word_embeddings"]
    assert any("no longer tied" in warning for warning in found.warnings) != tied


def test_shared_factors_of_tied_modules_are_added_once(tmp_path: Path) -> None:
    model = llama(tmp_path / "base", tied=True)
    before = model.model.embed_tokens.weight.detach().clone()
    adapt(model, tmp_path / "adapter", r=2, target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True)
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a, b = (weights[f"base_model.model.model.embed_tokens.lora_embedding_{side}"] for side in "AB")
    found = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    assert torch.allclose(as_torch(found["model.embed_tokens.weight"]), before + 4 * (b @ a).T, atol=1e-5)
    assert found.aliases == {"lm_head.weight": "model.embed_tokens.weight"}


def by_hand(folder: Path, base: dict[str, torch.Tensor], adapter: dict[str, torch.Tensor], **settings: Any) -> str:
    for name in ("base", "adapter"):
        (folder / name).mkdir(exist_ok=True)
    save_file(base, folder / "base" / "model.safetensors")
    save_file(adapter, folder / "adapter" / "adapter_model.safetensors")
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({**SETTINGS, **settings}))
    return f"{folder / 'base'}+{folder / 'adapter'}"


def lora(name: str = "q", rank: int = 2, rows: int = 3, columns: int = 4) -> dict[str, torch.Tensor]:
    stem = f"base_model.model.{name}"
    a, b = torch.arange(float(rank * columns)).reshape(rank, columns), torch.ones(rows, rank)
    return {f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}


def test_numbers_by_hand(tmp_path: Path) -> None:
    # scale = 4 / 2; every row of B A is the sum of the rows of A: 4, 6, 8, 10
    found = open_checkpoint(by_hand(tmp_path, {"q.weight": torch.ones(3, 4)}, lora()))
    assert as_torch(found["q.weight"]).tolist() == [[9.0, 13.0, 17.0, 21.0]] * 3
    assert AdapterConfig(16, 8, rslora=True).scale_of("x") == 2.0


def test_any_cut_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = {"q.weight": torch.randn(300, 700), "p.weight": torch.randn(40, 30, dtype=torch.float64)}
    factors = {
        f"{name}.lora_{side}.weight": torch.randn(shape)
        for name, side, shape in [("q", "A", (8, 700)), ("q", "B", (300, 8)), ("p", "A", (8, 30)), ("p", "B", (40, 8))]
    }
    found = open_checkpoint(by_hand(tmp_path, base, factors, r=8))
    for name, size in (("q.weight", 4), ("p.weight", 8)):
        whole = found[name].read()
        for step in (333, 70_001):
            parts = [found[name].read(k, min(k + step, found[name].count)) for k in range(0, found[name].count, step)]
            assert np.concatenate(parts).tobytes() == whole.tobytes()
        expected = (
            base[name].double()
            + 0.5 * factors[name.replace("weight", "lora_B.weight")].double() @ factors[name.replace("weight", "lora_A.weight")].double()
        )
        assert found[name].nbytes == expected.numel() * size
        assert torch.allclose(as_torch(found[name]).double(), expected, atol=1e-5)
    unaligned = np.empty(41, np.uint8)[1:]
    found["q.weight"].read_into(5, unaligned)
    assert unaligned.tobytes() == found["q.weight"].read(5, 15).tobytes()


def test_names_with_a_prefix_more_or_less(tmp_path: Path) -> None:
    found = open_checkpoint(by_hand(tmp_path, {"model.q.weight": torch.ones(3, 4)}, lora("q")))
    assert found["model.q.weight"].dtype == "F32"
    found = open_checkpoint(by_hand(tmp_path, {"q.weight": torch.ones(3, 4)}, lora("bert.q")))
    assert as_torch(found["q.weight"])[0, 0] == 9


def test_two_adapters_in_a_row(tmp_path: Path) -> None:
    text = by_hand(tmp_path, {"q.weight": torch.ones(3, 4)}, lora())
    found = open_checkpoint(f"{text}+{tmp_path / 'adapter'}")
    assert as_torch(found["q.weight"])[0].tolist() == [17.0, 25.0, 33.0, 41.0]


BASE = {"q.weight": torch.ones(3, 4)}
MISFITS: dict[str, tuple[dict[str, torch.Tensor], dict[str, Any], str]] = {
    "another type": (lora(), {"peft_type": "LOHA"}, "type 'LOHA'"),
    "DoRA": (lora(), {"use_dora": True}, "use_dora"),
    "a kind of the future": (lora(), {"use_magic": True}, "use_magic"),
    "fused experts": (lora(), {"target_parameters": ["x"]}, "fused experts"),
    "PiSSA": (lora(), {"init_lora_weights": "pissa_niter_4"}, "changes the base"),
    "rank 0": (lora(), {"r": 0}, "whole numbers from 1"),
    "rank true": (lora(), {"r": True}, "whole numbers from 1"),
    "alpha NaN": (lora(), {"lora_alpha": float("nan")}, "must be numbers"),
    "pattern is a list": (lora(), {"rank_pattern": [1]}, "must be mappings"),
    "pattern is no expression": (lora(), {"rank_pattern": {"(": 1}}, "no regular expression"),
    "a target that is absent": (lora("z"), {}, "adapts 'z.weight', which '.*base' does not have"),
    "one of two targets absent": ({**lora(), **lora("z")}, {}, "adapts 'z.weight'"),
    "another rank": (lora(rank=3), {}, "expected rank 2"),
    "another shape": (lora(rows=5), {}, "'q.weight' is 5 x 4 in the adapter, 3 x 4 in"),
    "half a pair": ({k: v for k, v in lora().items() if "lora_A" in k}, {}, "lacks its factor lora_B"),
    "a tensor without use": ({**lora(), "base_model.model.q.lora_magnitude_vector": torch.ones(3)}, {}, "lora_magnitude_vector"),
    "a bias of A": ({**lora(), "base_model.model.q.lora_A.bias": torch.ones(2)}, {}, "does not know"),
    "a module with another shape": ({"base_model.model.q.weight": torch.ones(9, 4)}, {}, "9 x 4 in the adapter"),
    "whole numbers": ({k: v.to(torch.int8) for k, v in lora().items()}, {}, "dequantise"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_adapters_that_do_not_fit(what: str, tmp_path: Path) -> None:
    tensors, settings, words = MISFITS[what]
    with pytest.raises(CheckpointError, match=words) as caught:
        open_checkpoint(by_hand(tmp_path, BASE, tensors, **settings))
    assert "adapter" in str(caught.value) and "\n" not in str(caught.value)


def test_folders_that_are_no_adapter(tmp_path: Path) -> None:
    text = by_hand(tmp_path, BASE, lora())
    with pytest.raises(CheckpointError, match="no adapter_config"):
        open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'base'}")
    (tmp_path / "adapter" / "adapter_config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="expected a JSON object"):
        open_checkpoint(text)
    with pytest.raises(CheckpointError, match="adapter '.*nope'.*does not exist"):
        open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'nope'}")
    save_file({"q.weight": torch.ones(3, 4, dtype=torch.int8)}, tmp_path / "base" / "model.safetensors")
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(SETTINGS))
    with pytest.raises(CheckpointError, match="dtype I8.*dequantise"):
        open_checkpoint(text)
