"""Small models on disk, written byte by byte, and the command line as a function."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class Terminal(io.StringIO):
    """A stdout that says it is one."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, width: int = 80) -> Terminal:
    """Stdout as a terminal of that width that knows neither colours nor bold letters."""
    for name, value in (("COLUMNS", str(width)), ("LINES", "25"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    stdout = Terminal()
    monkeypatch.setattr("sys.stdout", stdout)
    return stdout


TAGS = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64"}


def write_model(folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Path:
    header, offset, parts = {}, 0, []
    for name, array in tensors.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": TAGS[str(array.dtype)], "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        parts.append(data)
    text = json.dumps(header).encode()
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def small(value: float, layers: int = 2, dtype: str = "float32") -> dict[str, Any]:
    """Every entry has one value: embedding 4 x 2, a 2 x 2 projection and a norm in each layer."""
    tensors = {"model.embed_tokens.weight": np.full((4, 2), value, dtype)}
    for i in range(layers):
        tensors[f"model.layers.{i}.mlp.up_proj.weight"] = np.full((2, 2), value, dtype)
        tensors[f"model.layers.{i}.norm.weight"] = np.full(2, value, dtype)
    return tensors


CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "vocab_size": 4}
