"""Bad input ends with exit code 2 and one sentence, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelweave.checkpoints.results import folder as folder_module
from modelweave.cli.app import main

LAYERS, WIDTH, VOCABULARY = 2, 4, 6
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY}
RECIPE = """
merge_method: ties
base_model: base
models:
  - model: a
    parameters: {weight: 0.5, density: 0.5}
  - model: b
    parameters: {weight: 0.5, density: 0.5}
dtype: float32
"""


def checkpoint(path: Path, *, layers: int = LAYERS, rows: int = VOCABULARY, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (rows, WIDTH), "model.norm.weight": (WIDTH,), "lm_head.weight": (rows, WIDTH)}
    shapes |= {f"model.layers.{i}.mlp.up_proj.weight": (WIDTH, WIDTH) for i in range(layers)}
    path.mkdir(parents=True)
    save_file({name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": layers, "vocab_size": rows}))
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "a", "b")):
        checkpoint(tmp_path / name, seed=seed)
    (tmp_path / "recipe.yml").write_text(RECIPE)
    return tmp_path


def refused(here: Path, capsys: pytest.CaptureFixture[str], *, recipe: str | None = None, out: str = "out") -> str:
    """Run the merge, check that it is refused cleanly, and return the sentence."""
    if recipe is not None:
        (here / "recipe.yml").write_text(recipe)
    before = sorted(str(p) for p in here.rglob("*"))
    code = main(["merge", "recipe.yml", out])
    said = capsys.readouterr()
    assert code == 2
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert said.out == ""
    assert sorted(str(p) for p in here.rglob("*")) == before
    return said.err


def test_the_recipe_itself_is_good(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", "recipe.yml", "out"]) == 0
    assert sorted(p.name for p in (here / "out").iterdir()) == ["README.md", "config.json", "model.safetensors", "modelweave.json"]


EDITS: dict[str, tuple[str, str, str]] = {
    "misspelt method": ("merge_method: ties", "merge_method: tise", "did you mean 'ties'"),
    "misspelt key": ("base_model: base", "base_modle: base", "did you mean 'base_model'"),
    "misspelt parameter": ("density: 0.5", "densty: 0.5", "did you mean 'density'"),
    "density 0": ("density: 0.5", "density: 0", "above 0"),
    "density above 1": ("density: 0.5", "density: 1.5", "at most 1"),
    "density negative": ("density: 0.5", "density: -0.1", "above 0"),
    "NaN weight": ("weight: 0.5", "weight: .nan", "a number, got nan"),
    "infinite weight": ("weight: 0.5", "weight: .inf", "a number, got inf"),
    "weight in words": ("weight: 0.5", "weight: half", "a number"),
    "model that does not exist": ("model: a", "model: nowhere/at/all", "nowhere/at/all"),
    "no base": ("base_model: base", "", "base_model"),
    "unknown type": ("dtype: float32", "dtype: float31", "did you mean 'float32'"),
}


@pytest.mark.parametrize("name", EDITS)
def test_one_wrong_word(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    old, new, expected = EDITS[name]
    assert expected in refused(here, capsys, recipe=RECIPE.replace(old, new))


BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", "", "# nothing\n", "just words", "a: [", BOMB, "a: 1\na: 2\n", "\t- x", "a: &a [*a]"], ids=range(9)
)
def test_text_that_is_no_recipe(here: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "recipe.yml" in refused(here, capsys, recipe=text)


def header(entries: object) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def entry(start: int, end: int, shape: list[int] | None = None) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


HOSTILE = {
    "huge length": struct.pack("<Q", 1 << 62) + b"{}",
    "overlap": header({"x": entry(0, 8), "y": entry(4, 12)}) + bytes(12),
    "past the end": header({"x": entry(0, 800)}) + bytes(8),
    "negative": header({"x": entry(-8, 0)}) + bytes(8),
    "shape and size differ": header({"x": entry(0, 8, [3])}) + bytes(8),
    "gigantic shape": header({"x": entry(0, 8, [1 << 40, 1 << 40])}) + bytes(8),
    "no JSON": header(b"{nonsense") + bytes(8),
    "a list": header([1, 2]) + bytes(8),
    "empty": b"",
    "deep": header(b"[" * 100_000) + bytes(8),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_damaged_and_hostile_headers(here: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    (here / "a" / "model.safetensors").write_bytes(HOSTILE[kind])
    assert "model.safetensors" in refused(here, capsys)


def test_a_truncated_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / "a" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    assert "model.safetensors" in refused(here, capsys)


def test_a_shard_outside_the_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(here / "a" / "model.safetensors", here / "stolen.safetensors")
    index = {"weight_map": {"model.norm.weight": "../stolen.safetensors"}}
    (here / "a" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "../stolen.safetensors" in refused(here, capsys)


def test_a_pickle_that_would_run_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.system, (f"touch {here}/was-run",)

    (here / "a" / "model.safetensors").unlink()
    with zipfile.ZipFile(here / "a" / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"x": Attack()}, protocol=2))
        archive.writestr("archive/version", "3")
    assert "system" in refused(here, capsys)
    assert not (here / "was-run").exists()


def test_different_numbers_of_layers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(here / "a", here / "old")
    checkpoint(here / "a", layers=3)
    sentence = refused(here, capsys)
    assert "3" in sentence and "2" in sentence and "layer" in sentence


def test_different_vocabularies_without_a_policy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(here / "a", here / "old")
    checkpoint(here / "a", rows=VOCABULARY + 2)
    assert "tokenizer" in refused(here, capsys)


def test_values_that_are_not_finite(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(here / "b" / "model.safetensors")
    tensors["model.norm.weight"][1] = np.nan
    save_file(tensors, here / "b" / "model.safetensors")
    code = main(["merge", "recipe.yml", "out"])
    assert code == 2
    assert "model.norm.weight of 'b' holds NaN or infinity" in capsys.readouterr().err
    assert not [p.name for p in here.iterdir() if "out" in p.name]


@pytest.mark.parametrize("out", ["a", "a/inside", "base/x/y"])
def test_a_target_inside_an_input(here: Path, capsys: pytest.CaptureFixture[str], out: str) -> None:
    assert "inside the input" in refused(here, capsys, out=out)


def test_a_target_that_exists(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "full").mkdir()
    (here / "full" / "file").write_text("")
    assert "already exists" in refused(here, capsys, out="full")


def test_a_target_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("")
    assert "cannot be written" in refused(here, capsys, out="file/out")


def test_no_room(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 7})())
    assert "7 are free" in refused(here, capsys)


@pytest.mark.parametrize(
    "words", [["--memory", "1"], ["--memory", "lots"], ["--shard-size", "-5GB"], ["--set", "nonsense"], ["--threads", "0"]]
)
def test_options_that_make_no_sense(here: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["merge", "recipe.yml", "out", *words]) == 2
    assert not (here / "out").exists()
