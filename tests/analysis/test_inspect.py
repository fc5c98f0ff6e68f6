"""Rows and totals of a checkpoint, by hand."""

from __future__ import annotations

import json

import numpy as np

from modelweave.analysis.inspect import as_dict, ranges, summarize, tensor_rows
from modelweave.checkpoints.open import open_checkpoint


def experts():
    tensors = {"embed.weight": np.zeros((8, 2), np.float16)}
    for i in range(3):
        for e in range(2):
            tensors[f"layers.{i}.experts.{e}.up"] = np.zeros((2, 3 if i < 2 else 4), np.float32)
    tensors["steps"] = np.zeros((), np.int64)
    return open_checkpoint(tensors, label="experts")


def test_layers_and_experts_of_one_shape_are_one_row():
    rows = {(row.name, row.layers): (row.tensors, row.shape, row.dtype, row.parameters, row.bytes) for row in tensor_rows(experts())}
    assert rows == {
        ("embed.weight", ""): (1, (8, 2), "F16", 16, 32),
        ("layers.*.experts.*.up", "0-1"): (4, (2, 3), "F32", 24, 96),
        ("layers.*.experts.*.up", "2"): (2, (2, 4), "F32", 16, 64),
        ("steps", ""): (1, (), "I64", 1, 8),
    }


def test_every_tensor_and_a_text():
    assert len(tensor_rows(experts(), collapse=False)) == 8
    assert [row.name for row in tensor_rows(experts(), collapse=False, contains="1.up")] == [f"layers.{i}.experts.1.up" for i in range(3)]


def test_summary():
    model = experts()
    model.aliases = {"head.weight": "embed.weight"}
    model.config = {"model_type": "mixtral"}
    found = summarize(model)
    assert (found.tensors, found.parameters, found.bytes, found.architecture) == (8, 57, 200, "mixtral")
    assert found.dtypes == {"F16": (1, 16), "F32": (6, 40), "I64": (1, 1)} and found.stacks == {"layers": 3}
    assert json.loads(json.dumps(as_dict(found, tensor_rows(model))))["aliases"] == {"head.weight": "embed.weight"}


def test_entries_that_are_no_tensors_are_named():
    found = summarize(open_checkpoint({"w": np.ones(2, np.float32), "epoch": 3}, label="saved"))
    assert found.tensors == 1 and found.ignored == {"epoch": "it is of type int, no tensor"}


def test_ranges():
    assert ranges(set()) == "" and ranges({3}) == "3" and ranges({4, 0, 1, 9, 8}) == "0-1, 4, 8-9"
