"""Modules and state dicts as checkpoints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from modelweave.checkpoints.dtypes import DTYPES
from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError

from .formats.test_safetensors_file import as_torch, same


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("hidden", torch.ones(1), persistent=False)


def test_a_module() -> None:
    module = Tied()
    found = open_checkpoint(module)
    assert found.label == "module"
    assert found.aliases == {"head.weight": "embed.weight"}
    assert found.buffers == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert set(found) == set(module.state_dict()) - {"head.weight"}
    assert all(same(as_torch(ref), module.state_dict()[name]) for name, ref in found.items())
    assert not found["embed.weight"].tensor.requires_grad


def test_a_state_dict_of_every_dtype_and_layout() -> None:
    state: dict[str, Any] = {k.tag: (torch.arange(6) % 2).reshape(2, 3).to(getattr(torch, k.torch)) for k in DTYPES.values()}
    state |= {"transposed": torch.arange(6.0).reshape(2, 3).t(), "scalar": torch.tensor(1.5), "empty": torch.zeros(0, 2)}
    state |= {"grown": torch.ones(2, requires_grad=True), "conjugate": torch.ones(2)}
    found = open_checkpoint({**state, "epoch": 3})
    assert found.ignored == {"epoch": "it is of type int, no tensor"}
    for name, tensor in state.items():
        assert same(as_torch(found[name]), tensor.detach()), name
    assert found["transposed"].read(1, 3).view(np.float32).tolist() == [3.0, 1.0]
    assert found["transposed"].tensor is state["transposed"]


def test_numpy_arrays() -> None:
    arrays = {
        "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
        "big-endian": np.arange(3, dtype=">i4"),
        "half": np.ones(2, np.float16),
        "flags": np.array([True, False]),
        "scalar": np.array(2.0),
        "empty": np.zeros((0, 3), np.int8),
    }
    arrays["plain"].setflags(write=False)
    found = open_checkpoint(arrays, label="mine")
    assert found.label == "mine" and found["big-endian"].dtype == "I32"
    for name, array in arrays.items():
        assert found[name].read().tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes(order="C"), name


def test_what_is_refused() -> None:
    for value, words in [
        (torch.ones(2, device="meta"), "meta"),
        (torch.eye(2).to_sparse(), "sparse_coo"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (np.array(["text"]), "dtype str"),
        (np.array([object()]), "dtype object"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint({"w": value})
    with pytest.raises(CheckpointError, match="holds no tensors"):
        open_checkpoint({"epoch": 3})


def test_fingerprints_follow_the_values() -> None:
    state = {"w": torch.arange(20_000.0)}
    first = open_checkpoint(state).fingerprint()
    assert open_checkpoint({"w": torch.arange(20_000.0)}).fingerprint() == first
    state["w"][-1] = 7
    assert open_checkpoint(state).fingerprint() != first
    assert open_checkpoint(state).provenance()["label"] == "state dict"


def test_arrays_need_no_torch() -> None:
    code = (
        "import sys, numpy as np; from modelweave.checkpoints.open import open_checkpoint as o; "
        "o({'w': np.ones(2)})['w'].read(); print('torch' in sys.modules, 'huggingface_hub' in sys.modules, 'fsspec' in sys.modules)"
    )
    source = str(Path(__file__).parents[2] / "src")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": source}, check=True)
    assert out.stdout.split() == ["False"] * 3
