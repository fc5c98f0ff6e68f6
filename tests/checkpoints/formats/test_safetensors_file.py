"""Round trips against the safetensors library, and every way a header can be bad."""

from __future__ import annotations

import gc
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file, save_file

from modelweave.checkpoints.dtypes import DTYPES
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.places import source
from modelweave.checkpoints.places.source import LocalSource
from modelweave.errors import CheckpointError, ModelweaveError

from ..files import entry, safetensors_bytes, write_arrays


def as_torch(ref: Any) -> torch.Tensor:
    kind = getattr(torch, DTYPES[ref.dtype].torch)
    return torch.frombuffer(bytearray(ref.read()) or bytearray(8), dtype=kind)[: ref.count].reshape(ref.shape)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return not a.numel() or torch.equal(a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))


def test_every_dtype_and_odd_shapes(tmp_path: Path) -> None:
    tensors = {kind.tag: (torch.arange(6) % 2).reshape(2, 3).to(getattr(torch, kind.torch)) for kind in DTYPES.values()}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4), "é": torch.ones(1)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = open_checkpoint(tmp_path)
    assert set(found) == set(tensors)
    assert found.metadata == {"format": "pt"}
    for name, tensor in tensors.items():
        assert same(as_torch(found[name]), tensor), name


def test_parts_and_threads(tmp_path: Path) -> None:
    values = np.arange(10_000, dtype=np.float32)
    ref = open_checkpoint(write_arrays(tmp_path / "a.safetensors", {"pad": np.zeros(1, np.float16), "w": values}))["w"]
    assert ref.read(17, 20).view(np.float32).tolist() == [17.0, 18.0, 19.0]
    wrong: list[int] = []

    def read(first: int) -> None:
        for start in range(first, 9_000, 997):
            if not np.array_equal(ref.read(start, start + 900).view(np.float32), values[start : start + 900]):
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with pytest.raises(IndexError):
        ref.read(9_999, 10_001)


GOOD = {"a": entry("F32", [2], 0, 8), "b": entry("F32", [1], 8, 12)}
DEEP = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
BAD = {
    "header longer than allowed": safetensors_bytes({}, length=100_000_001),
    "header of 2**64 - 1": safetensors_bytes({}, length=2**64 - 1),
    "header past the end": safetensors_bytes(GOOD, bytes(12), length=5_000),
    "empty file": b"",
    "seven bytes": b"1234567",
    "not JSON": safetensors_bytes(b"{nope}"),
    "not UTF-8": safetensors_bytes(b'{"\xff":1}'),
    "UTF-16": safetensors_bytes("{}".encode("utf-16")),
    "a list": safetensors_bytes([1]),
    "deeply nested": safetensors_bytes(DEEP),
    "a key twice": safetensors_bytes(b'{"a":1,"a":2}'),
    "a lone surrogate": safetensors_bytes(b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
    "entry is no object": safetensors_bytes({"a": 3}),
    "entry lacks its shape": safetensors_bytes({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
    "unknown dtype": safetensors_bytes({"a": entry("F99", [1], 0, 4)}, bytes(4)),
    "dtype is a list": safetensors_bytes({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "negative length": safetensors_bytes({"a": entry("F32", [-1], 0, 4)}, bytes(4)),
    "fractional length": safetensors_bytes({"a": entry("F32", [1.0], 0, 4)}, bytes(4)),
    "true as a length": safetensors_bytes({"a": entry("F32", [True], 0, 4)}, bytes(4)),
    "huge shape": safetensors_bytes({"a": entry("F32", [2**62, 2**62, 2**62], 0, 4)}, bytes(4)),
    "length above 2**63": safetensors_bytes({"a": entry("F32", [10**30, 0], 0, 0)}),
    "two hundred axes": safetensors_bytes({"a": entry("F32", [1] * 200, 0, 4)}, bytes(4)),
    "negative offset": safetensors_bytes({"a": entry("F32", [1], -4, 0)}, bytes(4)),
    "offsets reversed": safetensors_bytes({"a": entry("F32", [1], 4, 0)}, bytes(4)),
    "offsets past the end": safetensors_bytes({"a": entry("F32", [1], 4, 8)}, bytes(4)),
    "shape does not fit": safetensors_bytes({"a": entry("F32", [3], 0, 8)}, bytes(8)),
    "overlap": safetensors_bytes({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
    "same place twice": safetensors_bytes({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, bytes(8)),
    "gap": safetensors_bytes({"a": entry("F32", [1], 4, 8)}, bytes(8)),
    "rest": safetensors_bytes(GOOD, bytes(13)),
    "truncated": safetensors_bytes(GOOD, bytes(11)),
    "metadata is no text": safetensors_bytes({"__metadata__": {"a": 1}, **GOOD}, bytes(12)),
    "an HTML page": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
}

STRICTER = {"two hundred axes"}
"""NumPy has at most 32 axes, so the reader is stricter than the library here."""


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_one_sentence(what: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(BAD[what])
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path, label="mine")
    message = str(caught.value)
    assert "model 'mine'" in message and "model.safetensors" in message
    assert "\n" not in message and len(message) < 500
    if what not in STRICTER:
        with pytest.raises((SafetensorError, ValueError, OSError, KeyError)):
            load_file(path)


def test_the_same_files_as_the_library_are_good() -> None:
    good = safetensors_bytes(json.dumps(GOOD).encode() + b"   ", bytes(12))
    assert set(load_bytes(good)) == {"a", "b"}


def test_truncation_and_change_after_opening(tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "a.safetensors", {"w": np.arange(1000, dtype=np.float32)})
    found = open_checkpoint(path)
    os.truncate(path, 3000)
    with pytest.raises(CheckpointError, match="truncated"):
        found["w"].read()
    found.close()
    with pytest.raises(CheckpointError, match="changed"):
        found["w"].read()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_descriptors_are_shared_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    monkeypatch.setattr("modelweave.checkpoints.places.source.HELD_FILES", source._held + 3)
    before = len(os.listdir("/proc/self/fd"))
    files = [write_arrays(tmp_path / f"{k}.safetensors", {"w": np.full(4, k, np.float32)}) for k in range(20)]
    found = [open_checkpoint(path) for path in files]
    assert [float(c["w"].read().view(np.float32)[3]) for c in found] == list(range(20))
    assert len(os.listdir("/proc/self/fd")) <= before + 3
    del found
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="plain file"):
        LocalSource(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError):
        open_checkpoint(tmp_path / "model.safetensors")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_header_loads_or_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    good = bytearray(safetensors_bytes({"__metadata__": {"x": "y"}, **GOOD}, bytes(range(12))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good) - 1))
        kind = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if kind == "set":
            good[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del good[at : at + data.draw(st.integers(1, 9))]
            good = good or bytearray(b"x")
        else:
            good[at:at] = data.draw(st.binary(min_size=1, max_size=3))
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(good))
    try:
        found = {name: as_torch(ref) for name, ref in open_checkpoint(path).items()}
    except ModelweaveError:
        return
    expected = load_bytes(bytes(good))
    assert found.keys() == expected.keys()
    assert all(same(found[name], expected[name]) for name in found)
