"""Inputs that users really have, and a few that nobody should: each is read right or refused in one sentence."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import modelweave
from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError, CompatibilityError, ModelweaveError, ParameterError

STATE = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}


@pytest.mark.parametrize(
    "around",
    [
        {"epoch": 3, "state_dict": STATE, "best_acc1": torch.tensor(71.0)},
        {"model": STATE, "step": torch.tensor(3)},
        {"model_state_dict": STATE, "rng": torch.zeros(8, dtype=torch.uint8), "optimizer": {"state": {0: {"m": torch.ones(2)}}}},
    ],
    ids=["imagenet example", "step", "rng"],
)
def test_a_state_dict_is_found_beside_loose_tensors(tmp_path: Path, around: dict[str, Any]) -> None:
    torch.save(around, tmp_path / "run.pt")
    for found in (open_checkpoint(tmp_path / "run.pt"), open_checkpoint(around)):
        assert set(found) == {"w", "b"}
        assert found["w"].read().view(np.float32).tolist() == [0, 1, 2, 3, 4, 5]
        assert any("beside the state dict" in reason for reason in found.ignored.values())


def test_several_mappings_with_tensors_are_not_guessed(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1), "sub": STATE}, tmp_path / "run.pt")
    for source in (tmp_path / "run.pt", {"a": torch.zeros(1), "sub": STATE}):
        with pytest.raises(CheckpointError, match="tensors under several keys"):
            open_checkpoint(source)


def test_what_a_layer_keeps_beside_its_tensors_is_no_state_dict(tmp_path: Path) -> None:
    state = {**STATE, "layer._extra_state": {"scale": torch.ones(4)}}
    torch.save(state, tmp_path / "run.pt")
    for found in (open_checkpoint(tmp_path / "run.pt"), open_checkpoint(state)):
        assert set(found) == {"w", "b"}
        assert list(found.ignored) == ["layer._extra_state"] and "no tensor" in found.ignored["layer._extra_state"]


def test_a_name_may_stand_in_a_state_dict_and_beside_it(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"epoch": torch.ones(1), "w": torch.zeros(2)}}, tmp_path / "run.pt")
    assert set(open_checkpoint(tmp_path / "run.pt")) == {"epoch", "w"}


def test_transposed_tensors_are_read_where_files_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.arange(6.0).reshape(2, 3).T}, tmp_path / "run.pt")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no such device")

    monkeypatch.setattr("mmap.mmap", refuse)
    assert open_checkpoint(tmp_path / "run.pt")["w"].read().view(np.float32).tolist() == [0, 3, 1, 4, 2, 5]


def test_a_file_that_vanishes_is_one_sentence(tmp_path: Path) -> None:
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    found = open_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"'model.safetensors' cannot be read \(No such file or directory\); check the folder"):
        found.fingerprint()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_result_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    out = os.fsdecode(os.fsencode(tmp_path) + b"/merged-\xff")
    try:
        os.mkdir(out)
    except OSError:
        pytest.skip("this disk takes only text as names")
    os.rmdir(out)
    modelweave.merge([STATE, STATE], out=out)
    assert "# merged-\ufffd" in (Path(out) / "README.md").read_text(encoding="utf-8")
    assert set(open_checkpoint(out)) == {"w", "b"}


@pytest.mark.parametrize("kind", ["XLMWithLMHeadModel", "ElectraForMaskedLM", "T5ForConditionalGeneration"])
def test_torch_files_of_tied_models_merge_into_a_state_dict_that_fits(tmp_path: Path, kind: str) -> None:
    import transformers

    settings = {
        "XLMWithLMHeadModel": {"vocab_size": 20, "emb_dim": 16, "n_layers": 1, "n_heads": 2},
        "ElectraForMaskedLM": {"vocab_size": 20, "embedding_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
        "T5ForConditionalGeneration": {"vocab_size": 20, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2},
    }[kind]
    model_class = getattr(transformers, kind)
    states = []
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        model = model_class(model_class.config_class(**settings, tie_word_embeddings=True))
        model.config.architectures = [kind]
        model.config.save_pretrained(tmp_path / name)
        torch.save(model.state_dict(), tmp_path / name / "pytorch_model.bin")
        states.append({name: value.clone() for name, value in model.state_dict().items()})
    merged = modelweave.merge([str(tmp_path / name) for name in "ab"])
    model.load_state_dict(merged)
    for name, value in merged.items():
        if value.is_floating_point():
            assert torch.allclose(value, (states[0][name] + states[1][name]) / 2, atol=1e-6), name


def test_arrays_of_numpy_are_models_too() -> None:
    merged = modelweave.merge([{"w": np.full(2, v, np.float32)} for v in (1, 3)])
    assert merged["w"].tolist() == [2, 2]


def test_a_tensor_without_a_name_is_not_lost() -> None:
    merged = modelweave.merge([{"": torch.ones(1), "b": torch.ones(1)}] * 2)
    assert set(merged) == {"", "b"}


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ({"a\ud800": torch.ones(1)}, "no valid text"),
        ({10**5000: torch.ones(1)}, "a long number"),
        ({1: torch.ones(1), "1": torch.zeros(1)}, "two entries that are called '1'"),
        ({"w": torch.empty(2, device="meta")}, "without data"),
    ],
    ids=["surrogate", "long number", "1 twice", "meta"],
)
def test_what_cannot_be_a_model_in_memory(state: Any, part: str) -> None:
    with pytest.raises(CheckpointError, match=part):
        open_checkpoint(state)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors_are_refused() -> None:
    with pytest.raises(CheckpointError, match="is nested"):
        open_checkpoint({"w": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])})


@pytest.mark.parametrize(("key", "part"), [("a\ud800", "no valid text"), (10**5000, "a long number")], ids=["surrogate", "long"])
def test_what_cannot_be_a_name_in_a_file(tmp_path: Path, key: Any, part: str) -> None:
    torch.save({key: torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=part):
        open_checkpoint(tmp_path / "x.pt")


def test_lazy_modules_are_refused() -> None:
    with pytest.raises(CheckpointError, match="not initialised yet"):
        modelweave.merge([torch.nn.LazyLinear(2)] * 2)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_a_quantised_tensor_is_called_so(tmp_path: Path) -> None:
    torch.save({"w": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)}, tmp_path / "q.pt")
    with pytest.raises(CheckpointError, match="a quantised tensor, which cannot be merged"):
        open_checkpoint(tmp_path / "q.pt")


def test_half_a_download_is_no_model(tmp_path: Path) -> None:
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="alone, expected 2 such files and their index"):
        open_checkpoint(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(CheckpointError, match="expected weight_map"):
        open_checkpoint(tmp_path)


def test_a_small_pickle_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    n = 20000
    sizes = b"\x80\x02(" + b"K\x01" * n + b"lq\x000ctorch\nSize\nq\x010](" + b"h\x01h\x00\x85R" * n + b"e."
    text = pickle.dumps("x" * n, 2)[2:-1]
    texts = b"\x80\x02" + text + b"q\x000c_codecs\nencode\nq\x01](" + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * n + b"e."
    for content in (sizes, texts):
        with zipfile.ZipFile(tmp_path / "bomb.pt", "w") as archive:
            archive.writestr("archive/data.pkl", content)
        with pytest.raises(CheckpointError, match="a shape that is no list|more bytes in one piece"):
            open_checkpoint(tmp_path / "bomb.pt")


def test_files_that_change_during_a_merge_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        os.mkdir(name)
        save_file({"w": np.ones(4, np.float32)}, f"{name}/model.safetensors")
    (tmp_path / "r.yml").write_text(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]\n"
    )

    def overwrite(done: int, total: int) -> None:
        with open("a/model.safetensors", "r+b") as file:
            file.seek(-4, 2)
            file.write(b"\0\0\0\0")
        os.utime("a/model.safetensors", ns=(1, 1))

    with pytest.raises(CheckpointError, match="was changed while it was read"):
        modelweave.merge_recipe("r.yml", "out", progress=overwrite)
    assert sorted(os.listdir()) == ["a", "b", "r.yml"]


def test_the_hash_is_of_the_file_that_was_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.chdir(tmp_path)
    for name in "ab":
        os.mkdir(name)
        save_file({"w": np.ones(4, np.float32)}, f"{name}/model.safetensors")
    save_file({"w": np.zeros(4, np.float32)}, "new.safetensors")
    old = hashlib.sha256(Path("a/model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "r.yml").write_text(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]\n"
    )

    def replace(done: int, total: int) -> None:
        if os.path.exists("new.safetensors"):
            os.rename("new.safetensors", "a/model.safetensors")

    modelweave.merge_recipe("r.yml", "out", progress=replace)
    record = json.loads(Path("out/modelweave.json").read_text())
    assert record["inputs"][0]["files"][0]["sha256"] == old
    assert open_checkpoint("out")["w"].read().view(np.float32).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("dtype", "most"), [("float8_e4m3fn", 448.0), ("float8_e5m2", 57344.0)])
def test_values_too_large_for_eight_bits_are_refused(dtype: str, most: float) -> None:
    assert modelweave.merge([{"w": torch.tensor([most])}] * 2, dtype=dtype)["w"].float().tolist() == [most]
    with pytest.raises(CompatibilityError, match=f"does not fit {dtype}"):
        modelweave.merge([{"w": torch.tensor([2 * most])}] * 2, dtype=dtype)


def test_members_by_label_must_be_members() -> None:
    models = {"x": {"w": torch.zeros(1)}, "y": {"w": torch.ones(1)}}
    with pytest.raises(ParameterError, match="unknown model 'z'"):
        modelweave.merge(models, weight={"x": 3, "z": 1})


def test_conditions_are_one_setting_for_all_members() -> None:
    base = {"mlp.w": torch.zeros(4), "attn.w": torch.zeros(4)}
    tuned = {name: torch.tensor([1.0, 2, 3, 4]) for name in base}
    conditions = [{"filter": "mlp", "value": 0.5}, {"value": 1.0}]
    merged = modelweave.merge([tuned, tuned], method="ties", base=base, density=conditions)
    assert merged["mlp.w"].tolist() == [0, 0, 3, 4] and merged["attn.w"].tolist() == [1, 2, 3, 4]


def test_prepare_gives_what_merge_gives() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.e, self.l = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
            self.l.weight = self.e.weight

    modules = [Tied() for _ in range(3)]
    found = modelweave.prepare(modules[:2], method="task_arithmetic", base=modules[2]).at(0.5)
    merged = modelweave.merge(modules[:2], method="task_arithmetic", base=modules[2], scale=0.5)
    assert found.keys() == merged.keys() == Tied().state_dict().keys()
    assert all(torch.allclose(found[name], merged[name]) for name in merged)
    base = {"w": torch.zeros(1), "only": torch.ones(1)}
    more = [{"w": torch.ones(1), "new": torch.ones(1)}] * 2
    for missing in ("union", "intersection", "base"):
        found = modelweave.prepare(more, method="task_arithmetic", base=base, missing=missing).at(1.0)
        merged = modelweave.merge(more, method="task_arithmetic", base=base, missing=missing, scale=1.0)
        assert found.keys() == merged.keys() and all(torch.equal(found[name], merged[name]) for name in merged)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_counted_from_one(threads: int) -> None:
    with pytest.raises(ModelweaveError, match="threads: expected a whole number from 1 on"):
        modelweave.merge([{"w": torch.ones(1)}], threads=threads)
