"""Folders: which files are the weights, and indices that lie."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError, UnsafeFileError

from ..files import write_arrays

A, B = np.arange(4, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)


def sharded(folder: Path, weight_map: Any = None, **files: dict[str, np.ndarray]) -> Path:
    files = files or {"one": {"a": A}, "two": {"b": B}}
    for name, arrays in files.items():
        write_arrays(folder / f"{name}.safetensors", arrays)
    if weight_map is None:
        weight_map = {tensor: f"{name}.safetensors" for name, arrays in files.items() for tensor in arrays}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def values(ref: Any) -> list[float]:
    return ref.read().view(np.float32).tolist()


def test_shards_are_one_mapping(tmp_path: Path) -> None:
    found = open_checkpoint(sharded(tmp_path))
    assert {name: values(ref) for name, ref in found.items()} == {"a": A.tolist(), "b": B.reshape(-1).tolist()}
    assert found.ignored == {} and found.warnings == ()


def test_three_hundred_shards(tmp_path: Path) -> None:
    sharded(tmp_path, **{f"s{k}": {f"t{k}": np.full(2, k, np.float32)} for k in range(300)})
    found = open_checkpoint(tmp_path)
    assert [values(found[f"t{k}"])[0] for k in range(300)] == list(range(300))


def test_pickled_shards(tmp_path: Path) -> None:
    torch.save({"a": torch.from_numpy(A)}, tmp_path / "one.bin")
    torch.save({"b": torch.from_numpy(B)}, tmp_path / "two.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": "one.bin", "b": "two.bin"}}))
    assert values(open_checkpoint(tmp_path)["b"]) == B.reshape(-1).tolist()


@pytest.mark.parametrize(
    "name", ["../one.safetensors", "/etc/passwd", "x/one.safetensors", "..", "", "a\\one.safetensors", "C:one.safetensors", "a\0b"]
)
def test_a_shard_outside_the_folder(tmp_path: Path, name: str) -> None:
    write_arrays(tmp_path / "one.safetensors", {"a": A})
    folder = sharded(tmp_path / "model", {"a": name})
    with pytest.raises(UnsafeFileError, match="plain name in the same folder") as caught:
        open_checkpoint(folder)
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        ({"a": "one.safetensors", "b": "three.safetensors"}, "'three.safetensors' is named by .* but missing"),
        ({"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}, "tensor 'c' should be in 'two.safetensors' .* no file"),
        ({"a": "two.safetensors", "b": "one.safetensors"}, "tensor 'a' should be in 'two.safetensors' .* it is in 'one.safetensors'"),
        ({"a": "config.json"}, "expected a file of weights"),
        ({"a": 3}, "expected weight_map"),
        ([], "expected weight_map"),
    ],
)
def test_an_index_that_lies(tmp_path: Path, weight_map: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(sharded(tmp_path, weight_map))


def test_one_tensor_in_two_shards(tmp_path: Path) -> None:
    sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}, one={"a": A}, two={"a": A, "b": B})
    with pytest.raises(CheckpointError, match="tensor 'a' is in two files, 'one.safetensors' and 'two.safetensors'"):
        open_checkpoint(tmp_path)


def test_a_tensor_that_the_index_forgot(tmp_path: Path) -> None:
    found = open_checkpoint(sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}, one={"a": A}, two={"b": B, "c": A}))
    assert "c" in found and "1 tensor is not named by" in found.warnings[0]


def test_an_index_that_is_no_json(tmp_path: Path) -> None:
    sharded(tmp_path)
    for text in ("[" * 100_000, "{", "3", "\udcff"):
        (tmp_path / "model.safetensors.index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(CheckpointError, match=r"index\.json"):
            open_checkpoint(tmp_path)


def test_preference_and_other_copies(tmp_path: Path) -> None:
    torch.save({"old": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    write_arrays(tmp_path / "adapter_model.safetensors", {"x": A})
    (tmp_path / "training_args.bin").write_bytes(b"not read")
    assert list(open_checkpoint(tmp_path)) == ["old"]
    sharded(tmp_path)
    assert list(open_checkpoint(tmp_path)) == ["a", "b"]
    write_arrays(tmp_path / "model.safetensors", {"new": A})
    found = open_checkpoint(tmp_path)
    assert list(found) == ["new"]
    assert set(found.ignored) == {"pytorch_model.bin", "one.safetensors", "two.safetensors"}


def test_a_file_of_any_name(tmp_path: Path) -> None:
    write_arrays(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", {"a": A})
    write_arrays(tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors", {"a": A})
    assert list(open_checkpoint(tmp_path / "unet")) == ["a"]
    write_arrays(tmp_path / "any" / "mine.safetensors", {"a": A})
    assert list(open_checkpoint(tmp_path / "any")) == ["a"]
    write_arrays(tmp_path / "any" / "yours.safetensors", {"a": A})
    with pytest.raises(CheckpointError, match=r"several files of weights \(mine.safetensors, yours.safetensors\)"):
        open_checkpoint(tmp_path / "any")
    assert list(open_checkpoint(tmp_path / "any" / "yours.safetensors")) == ["a"]


def test_folders_without_weights(tmp_path: Path) -> None:
    for file, words in [
        ("adapter_config.json", r"write both as base\+adapter"),
        ("model_index.json", "unet"),
        ("notes.txt", "found notes.txt"),
    ]:
        folder = tmp_path / file.partition(".")[0]
        folder.mkdir()
        (folder / file).write_text("{}")
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(folder)


def test_config_side_files_and_ties(tmp_path: Path) -> None:
    write_arrays(tmp_path / "model.safetensors", {"model.embed_tokens.weight": B, "model.norm.weight": A}, {"format": "pt"})
    files = {
        "config.json": '{"tie_word_embeddings": true, "model_type": "llama"}',
        **{"tokenizer.json": "{}", "tokenizer.model": "x", "README.md": "# card", "LICENSE": "free", "chat_template.jinja": "{{x}}"},
        **{"chat_templates/tool.jinja": "t", "other/secret.txt": "no", ".gitattributes": "no", "optimizer.pt": "no"},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = open_checkpoint(tmp_path)
    hidden = {"other/secret.txt", ".gitattributes", "optimizer.pt"}
    assert set(found.side_files()) == set(files) - hidden
    assert found.side_file("chat_templates/tool.jinja") == b"t"
    for name in (*hidden, "model.safetensors", "../x", "nope"):
        with pytest.raises(KeyError):
            found.side_file(name)
    assert found.config == {"tie_word_embeddings": True, "model_type": "llama"}
    assert found.aliases == {"lm_head.weight": "model.embed_tokens.weight"}
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": false}')
    assert open_checkpoint(tmp_path).aliases == {}
    (tmp_path / "config.json").write_text("{oh")
    with pytest.raises(CheckpointError, match=r"'config.json': is not valid JSON"):
        open_checkpoint(tmp_path)


def test_a_head_that_is_stored_is_no_alias(tmp_path: Path) -> None:
    write_arrays(tmp_path / "model.safetensors", {"transformer.wte.weight": B, "lm_head.weight": B})
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}')
    found = open_checkpoint(tmp_path)
    assert found.aliases == {} and len(found) == 2


def test_provenance_and_fingerprint(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "mine")
    found = open_checkpoint(folder, label="mine")
    record = found.provenance()
    assert record["label"] == "mine" and record["path"] == "mine"
    assert str(tmp_path) not in json.dumps(record)
    assert [row["name"] for row in record["files"]] == ["one.safetensors", "two.safetensors"]
    assert record["files"][0]["sha256"] == hashlib.sha256((folder / "one.safetensors").read_bytes()).hexdigest()
    assert len(record["files"][0]["header_sha256"]) == 64
    assert record["files"][0]["size"] == (folder / "one.safetensors").stat().st_size
    first = found.fingerprint()
    assert open_checkpoint(folder).fingerprint() == first
    write_arrays(folder / "one.safetensors", {"a": A + 1})
    assert open_checkpoint(folder).fingerprint() != first
