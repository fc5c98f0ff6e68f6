"""`plan` on models of a few bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modelweave.cli.app import main

from .helpers import CONFIG, small, write_model

LINEAR = "merge_method: linear\nmodels: [{model: x}, {model: y}]\nparameters: {weight: 1}\n"
TWO = """
name: mean
merge_method: linear
models: [{model: x}, {model: y}]
parameters: {weight: 1}
---
merge_method: task_arithmetic
base_model: x
models: [{model: mean, parameters: {weight: 0.5}}]
"""


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "x", small(1.0), CONFIG)
    write_model(tmp_path / "y", small(3.0), CONFIG)
    return tmp_path


def test_tables_and_totals(folder, capsys):
    (folder / "r.yml").write_text(LINEAR)
    assert main(["plan", str(folder / "r.yml")]) == 0
    out = capsys.readouterr().out
    # embedding 8, twice 4 + 2
    assert "outputs     5 tensors, 20 parameters: 5 merged, 0 copied, 0 dropped" in out
    assert "reads       160 B" in out and "writes      80 B" in out
    row = next(line for line in out.splitlines() if line.startswith("model.layers.*.mlp.up_proj.weight"))
    assert row.split()[1:6] == ["0-1", "2", "2x2", "F32", "linear"] and "\x1b" not in out


def test_values_from_the_command_line(folder, capsys):
    (folder / "r.yml").write_text(LINEAR)
    assert main(["plan", str(folder / "r.yml"), "--set", "dtype=bfloat16", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["totals"]["bytes_written"] == 40 and plan["recipe"]["dtype"] == "bfloat16" and plan["document"] is None


def test_a_document_over_a_result_that_does_not_exist_yet(folder, capsys):
    (folder / "r.yml").write_text(TWO)
    assert main(["plan", str(folder / "r.yml")]) == 0
    out = capsys.readouterr().out
    assert "document 1 of 2, mean: for the documents after it" in out and "document 2 of 2: the result" in out
    assert "mean over the base" in out


def test_how_vocabularies_are_aligned(folder, capsys):
    for name, words in (("x", ["[UNK]", "a", "b", "c"]), ("y", ["[UNK]", "b", "d", "a"])):
        model = {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "[UNK]"}
        (folder / name / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    (folder / "r.yml").write_text(LINEAR + "tokenizer_source: union\n")
    assert main(["plan", str(folder / "r.yml")]) == 0
    out = capsys.readouterr().out
    # of the five tokens each model lacks one, which the other lends
    assert "x                 4       4      1  1 from y\n" in out and "y                 4       4      1  1 from x\n" in out


def test_what_is_dropped_is_said(folder, capsys):
    write_model(folder / "z", {**small(1.0), "extra.weight": np.ones(3, np.float32)}, CONFIG)
    (folder / "r.yml").write_text(LINEAR.replace("model: y", "model: z") + "missing: intersection\n")
    assert main(["plan", str(folder / "r.yml")]) == 0
    assert "dropped     1: " in capsys.readouterr().out


def test_a_headers_error(folder, capsys):
    write_model(folder / "z", small(1.0, layers=1), CONFIG)
    (folder / "r.yml").write_text(LINEAR.replace("model: y", "model: z"))
    assert main(["plan", str(folder / "r.yml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
