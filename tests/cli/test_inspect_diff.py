"""`inspect` and `diff` on models of a few bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from modelweave.cli.app import main

from .helpers import CONFIG, small, terminal, write_model


@pytest.fixture
def models(tmp_path):
    return [str(write_model(tmp_path / name, small(value), CONFIG)) for name, value in (("base", 1.0), ("a", 2.0), ("b", -1.0))]


def test_inspect(models, capsys):
    assert main(["inspect", models[0]]) == 0
    out = capsys.readouterr().out
    assert "parameters    20 in 5 tensors, 80 B" in out and "layers        2 in model.layers" in out
    row = next(line for line in out.splitlines() if line.startswith("model.layers.*.norm.weight"))
    assert row.split()[1:] == ["0-1", "2", "2", "F32", "4", "16", "B"]


def test_inspect_every_tensor_with_a_text_in_its_name(models, capsys):
    assert main(["inspect", models[0], "--all", "--filter", "norm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["model.layers.0.norm.weight", "model.layers.1.norm.weight"] and not lines[3]
    assert main(["inspect", models[0], "--filter", "nowhere"]) == 0
    assert "no tensor's name contains 'nowhere'" in capsys.readouterr().out


def test_inspect_json(models, capsys):
    assert main(["inspect", models[0], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == "LlamaForCausalLM" and len(found["rows"]) == 3 and len(found["fingerprint"]) == 64
    assert found["dtypes"] == {"F32": {"tensors": 5, "parameters": 20}}


def test_inspect_names_what_is_ignored(tmp_path, capsys):
    torch.save({"w": torch.ones(2), "epoch": 3}, tmp_path / "saved.pt")
    assert main(["inspect", str(tmp_path / "saved.pt")]) == 0
    assert "ignored       epoch: " in capsys.readouterr().out


def test_diff(models, capsys):
    assert main(["diff", models[0], models[1]]) == 0
    out = capsys.readouterr().out
    assert "by layer" in out and "mlp.up_proj" in out and "cosine" not in out
    total = out.splitlines()[-1].split()
    # norms of twenty ones and twenty twos
    assert total == ["20", "4.472", "8.944", "1", "100.0"]


def test_diff_over_a_base(models, tmp_path, capsys):
    assert main(["diff", models[1], models[2], "--base", models[0], "--json", "--png", str(tmp_path / "d.png")]) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    # task vectors of ones and of minus twos
    assert total["cosine"] == pytest.approx(-1) and total["conflicts"] == 1 and total["changed_a"] == total["changed_b"] == 1
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_number_of_many_models_is_whole_on_a_terminal(width, models, tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    tuned = [{name: value + random.standard_normal(value.shape).astype("float32") for name, value in small(1.0).items()} for _ in range(3)]
    words = [str(write_model(tmp_path / f"tuned-{i}", model, CONFIG)) for i, model in enumerate(tuned)]
    assert main(["diff", *words, "--base", models[0]]) == 0
    plain = capsys.readouterr().out
    stdout = terminal(monkeypatch, width)
    assert main(["diff", *words, "--base", models[0]]) == 0
    seen = stdout.getvalue()
    assert max(map(len, seen.splitlines())) <= width and "magmax" in seen
    assert {word for word in plain.split() if word[-1].isdigit() and "." in word[1:]} <= set(seen.split()) | set(words)


def test_diff_names_what_is_not_compared(models, tmp_path, capsys):
    more = {**small(3.0), "model.embed_tokens.weight": np.ones((5, 2), "float32")}
    more |= {f"extra.{i}.\x1b[31m": np.ones(1, "float32") for i in range(4)}
    other = str(write_model(tmp_path / "other", more, CONFIG))
    for words in ([models[1], other], [models[1], models[2], other, "--base", models[0]]):
        assert main(["diff", *words]) == 0
        out = capsys.readouterr().out
        assert "everything compared" in out and "(model.embed_tokens.weight)" in out and "\x1b" not in out
        assert f"not compared  4: only in '{other}' (extra.0.?[31m, extra.1.?[31m, extra.2.?[31m, ...)" in out
    assert main(["diff", models[0], models[1]]) == 0
    assert "everything compared" not in capsys.readouterr().out


def test_cosines_have_three_decimals_and_what_has_no_layer_is_outside(tmp_path, capsys):
    base, one, other = ({name: np.zeros_like(value) for name, value in small(0.0).items()} for _ in range(3))
    for model, values in ((one, [1, 0, 0, 0]), (other, [-0.0001, 1, 0, 0])):
        for name in model:
            model[name].flat[:2] = values[:2]
    words = [str(write_model(tmp_path / name, model, CONFIG)) for name, model in (("base", base), ("one", one), ("other", other))]
    assert main(["diff", *words[1:], "--base", words[0]]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert next(line for line in lines if line[:1] == ["outside"])[8] == "0.000"
    assert main(["diff", *words[1:], words[1], "--base", words[0], "--all"]) == 0
    out = capsys.readouterr().out
    assert "-0.000 " not in out and "e-05" not in out and "1.000" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("outside")][-1] == ["outside", "model.embed_tokens"]


def test_diff_every_module(models, capsys):
    assert main(["diff", models[1], models[2], "--base", models[0], "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "every module" and "conflicts" in lines[1] and len(lines[2 : lines.index("")]) == 5


def test_errors(models, tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "basee")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["diff", models[0], models[1], "--png", str(tmp_path / "no" / "d.png")]) == 2
    assert "cannot be written" in capsys.readouterr().err
