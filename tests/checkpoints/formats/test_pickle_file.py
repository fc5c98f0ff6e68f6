"""Files of torch.save against torch itself, and pickles that would run code."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelweave.checkpoints.formats.pickle_machine import unpickle
from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError, ModelweaveError, UnsafeFileError

from .test_safetensors_file import as_torch, same

ROOT = Path(__file__).parents[3] / "src"


def some_tensors() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(2, 3, 4)
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    tensors: dict[str, Any] = {kind: (torch.arange(6) % 2).reshape(2, 3).to(getattr(torch, kind)) for kind in kinds}
    return tensors | {
        "base": base,
        "shared": base[1:],
        "transposed": base.transpose(0, 2),
        "every second": base[:, :, ::2],
        "expanded": torch.tensor([[1.0, 2.0]]).expand(3, 2),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "one column": base[0][:, 1:2],
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_as_torch_loads_it(tmp_path: Path, zipped: bool) -> None:
    tensors = some_tensors()
    if zipped:
        tensors |= {kind: torch.ones(3).to(getattr(torch, kind)) for kind in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64")}
    state = collections.OrderedDict(tensors)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    found = open_checkpoint(tmp_path)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert same(as_torch(found[name]), tensor.detach()), name
        assert same(as_torch(found[name]), tensor.detach()), "twice"


def test_parts_of_a_transposed_tensor(tmp_path: Path) -> None:
    w = torch.arange(12.0).reshape(3, 4)
    torch.save({"w": w.t()}, tmp_path / "x.pt")
    ref = open_checkpoint(tmp_path / "x.pt")["w"]
    flat = w.t().reshape(-1).tolist()
    assert [ref.read(k, k + 2).view(np.float32).tolist() for k in range(0, 12, 2)] == [flat[k : k + 2] for k in range(0, 12, 2)]


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.ones(2)}, "epoch": 3}, tmp_path / "x.pt")
    code = (
        "import sys; from modelweave.checkpoints.open import open_checkpoint as o; "
        f"c = o({str(tmp_path / 'x.pt')!r}); print(c['w'].read().tobytes().hex(), c.ignored, 'torch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    assert out.stdout.strip() == "0000803f0000803f {'epoch': 'it is the number 3 beside the state dict'} False"


def test_wrappers_and_leftovers(tmp_path: Path) -> None:
    state = {"w": torch.ones(2), "steps": 7, "note": "x", "more": {"a": torch.ones(1)}}
    torch.save({"model": state, "optimizer": {"m": torch.ones(2)}, "epoch": 1}, tmp_path / "a.pt")
    found = open_checkpoint(tmp_path / "a.pt")
    assert list(found) == ["w"]
    assert set(found.ignored) == {"steps", "note", "more", "optimizer", "epoch"}
    assert found.ignored["steps"] == "it is the number 7, no tensor"
    torch.save({"one": {"a": torch.ones(1)}, "two": {"a": torch.ones(1)}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="several keys .'one', 'two'."):
        open_checkpoint(tmp_path / "b.pt")
    for value, words in [([torch.ones(1)], "a list of 1"), (torch.ones(1), "single tensor"), ({"a": 1}, "no tensors")]:
        torch.save(value, tmp_path / "c.pt")
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(tmp_path / "c.pt")


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("function", [os.system, eval, subprocess.Popen, getattr], ids=lambda f: f.__name__)
def test_a_pickle_that_would_run_code(tmp_path: Path, zipped: bool, function: Any) -> None:
    canary = tmp_path / "ran"
    evil = Runs(function, f"touch {canary}" if function is not eval else f"open({str(canary)!r}, 'w')")
    torch.save({"w": torch.ones(2), "x": evil}, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError) as caught:
        open_checkpoint(tmp_path)
    module = {"posix": "os", "nt": "os"}.get(function.__module__, function.__module__)
    assert f"asks to run '{module}.{function.__qualname__}'" in str(caught.value)
    assert "pytorch_model.bin" in str(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_that_would_run_code(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "ran"
    (tmp_path / "x.bin").write_bytes(pickle.dumps(Runs(os.system, f"touch {canary}"), protocol))
    with pytest.raises(CheckpointError):
        open_checkpoint(tmp_path)
    assert not canary.exists()
    with pytest.raises(UnsafeFileError, match="system"):
        unpickle(io.BytesIO(pickle.dumps(Runs(os.system, f"touch {canary}"), protocol)), "here")
    assert not canary.exists()


def test_known_names_cannot_be_bent(tmp_path: Path) -> None:
    for text in (b"ctorch._utils\n_rebuild_tensor_v2\n(tR.", b"ctorch\nSize\nN\x85R.", b"ctorch\nfloat32\n)R.", b"ctorch.hub\nload\n."):
        with pytest.raises(CheckpointError):
            unpickle(io.BytesIO(b"\x80\x02" + text), "here")
    with pytest.raises(UnsafeFileError, match=r"torch\.load"):
        unpickle(io.BytesIO(b"\x80\x04\x8c\x05torch\x8c\x04load\x93."), "here")


HOSTILE = {
    "endless memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "string of 2**62 bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b".",
    "bytes of 4 GiB": b"\x80\x03B\xff\xff\xff\xff.",
    "long of 2 GiB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "nothing": b"",
    "no stop": b"\x80\x02N",
    "stack underflow": b"\x80\x02\x86.",
    "a mark left": b"\x80\x02(.",
    "unknown memo": b"\x80\x02h\x07.",
    "extension": b"\x80\x02\x82\x01.",
    "unknown opcode": b"\x80\x02\xff.",
    "attributes for a dict": b"\x80\x02}}b.",
    "deep tuple as a key": b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
    "append to a dict": b"\x80\x02}Na.",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles(what: str) -> None:
    stream = io.BytesIO(HOSTILE[what])
    if what == "endless memo index":
        assert unpickle(stream, "here") is None  # an index costs nothing here
        return
    with pytest.raises(CheckpointError, match="^here"):
        unpickle(stream, "here")


def repacked(path: Path, out: Path, change: Any, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", compression) as new:
        for info in old.infolist():
            content = change(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)


def test_bad_zip_files(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pt", tmp_path / "bad" / "x.pt"
    bad.parent.mkdir()
    torch.save({"w": torch.arange(100.0)}, good)
    keep = lambda name, content: content  # noqa: E731
    cases: list[tuple[Any, int, str]] = [
        (keep, zipfile.ZIP_DEFLATED, "compressed"),
        (lambda n, c: None if "/data/" in n else c, zipfile.ZIP_STORED, "lacks the data of storage"),
        (lambda n, c: c[:-4] if n.endswith("/data/0") else c, zipfile.ZIP_STORED, "needs 400 bytes of its storage"),
        (lambda n, c: None if n.endswith("data.pkl") else c, zipfile.ZIP_STORED, "without PyTorch's data.pkl"),
        (lambda n, c: b"big" if n.endswith("byteorder") else c, zipfile.ZIP_STORED, "big-endian"),
        (lambda n, c: c[:-9] if n.endswith("data.pkl") else c, zipfile.ZIP_STORED, "damaged or cut short"),
    ]
    for change, compression, words in cases:
        repacked(good, bad, change, compression)
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(bad)
    repacked(good, bad, keep)
    assert open_checkpoint(bad)["w"].read(99, 100).view(np.float32)[0] == 99
    bad.write_bytes(good.read_bytes()[:-30])
    with pytest.raises(CheckpointError, match="zip directory"):
        open_checkpoint(bad)


def test_views_that_leave_their_storage(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(4.0).reshape(2, 2)}, tmp_path / "x.pt")
    wide = lambda n, c: c.replace(b"K\x02K\x02\x86", b"K\x09K\x02\x86") if n.endswith("data.pkl") else c  # noqa: E731
    repacked(tmp_path / "x.pt", tmp_path / "y.pt", wide)
    with pytest.raises(CheckpointError, match="bytes of its storage"):
        open_checkpoint(tmp_path / "y.pt")
    torch.save({"w": torch.ones(1).expand(1 << 20, 1 << 20)}, tmp_path / "z.pt")
    with pytest.raises(CheckpointError, match="repeats 4 bytes"):
        open_checkpoint(tmp_path / "z.pt")


def test_kinds_that_cannot_be_merged(tmp_path: Path) -> None:
    for value, words in [
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.ones(2, dtype=torch.complex64), "Complex"),
        (torch.ones(2, device="meta"), "meta"),
    ]:
        torch.save({"w": value}, tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_mutated_files_load_or_are_refused(tmp_path: Path, zipped: bool) -> None:
    torch.save({"w": torch.arange(4.0), "n": 3}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "x.pt").read_bytes()

    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=4))
    def check(changes: list[tuple[int, int]]) -> None:
        bad = bytearray(content)
        for at, byte in changes:
            bad[at] = byte
        (tmp_path / "y.pt").write_bytes(bytes(bad))
        try:
            for ref in open_checkpoint(tmp_path / "y.pt").values():
                ref.read()
        except ModelweaveError:
            pass

    check()
