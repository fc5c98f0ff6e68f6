"""Checkpoints behind an address, on fsspec's file system in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.places import remote
from modelweave.checkpoints.places.remote import BlockCache, RemoteSource, public
from modelweave.errors import CheckpointError

from ..files import write_arrays

W = np.arange(1000, dtype=np.float32)


@pytest.fixture
def fs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def upload(fs: Any, local: Path, folder: str) -> None:
    for path in local.iterdir():
        fs.pipe_file(f"{folder}/{path.name}", path.read_bytes())


def test_a_folder_and_a_file(fs: Any, tmp_path: Path) -> None:
    write_arrays(tmp_path / "one.safetensors", {"w": W})
    write_arrays(tmp_path / "two.safetensors", {"v": W * 2})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "one.safetensors", "v": "two.safetensors"}}))
    (tmp_path / "config.json").write_text('{"model_type": "x"}')
    upload(fs, tmp_path, "/bucket/model")
    found = open_checkpoint("memory://bucket/model")
    assert found.config == {"model_type": "x"} and found.side_files() == ("config.json",)
    assert found["v"].read(999).view(np.float32).tolist() == [1998.0]
    record = found.provenance(hash_large=True)
    assert record["address"] == "memory://bucket/model" and len(record["files"][0]["sha256"]) == 64
    assert found.fingerprint() == open_checkpoint("memory://bucket/model/").fingerprint()
    assert list(open_checkpoint("memory://bucket/model/one.safetensors")) == ["w"]


def test_a_torch_file(fs: Any, tmp_path: Path) -> None:
    torch.save({"w": torch.from_numpy(W), "t": torch.arange(6.0).reshape(2, 3).t()}, tmp_path / "pytorch_model.bin")
    upload(fs, tmp_path, "/pickled")
    found = open_checkpoint("memory://pickled")
    assert np.array_equal(found["w"].read().view(np.float32), W)
    assert found["t"].read().view(np.float32).tolist() == [0, 3, 1, 4, 2, 5]


def test_small_reads_share_requests(fs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(tmp_path / "model.safetensors", {f"t{k}": W for k in range(50)})
    upload(fs, tmp_path, "/many")
    requests: list[tuple[int, int]] = []
    cat = type(fs).cat_file

    def counted(self: Any, path: str, start: Any = None, end: Any = None, **more: Any) -> bytes:
        requests.append((start, end))
        return cat(self, path, start=start, end=end, **more)

    monkeypatch.setattr(type(fs), "cat_file", counted)
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    found = open_checkpoint("memory://many")
    assert len(requests) == 1
    for ref in found.values():
        for start in range(0, 1000, 50):
            assert ref.read(start, start + 50).view(np.float32)[0] == start
    assert len(requests) <= 3 + 50 * 4000 // (1 << 14)


def test_a_line_that_fails_is_tried_again(fs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.pipe_file("/x.bin", bytes(range(100)))
    failures = iter([OSError("reset"), TimeoutError("slow"), ValueError("odd")])
    cat = type(fs).cat_file

    def flaky(self: Any, path: str, **more: Any) -> bytes:
        for error in failures:
            raise error
        return cat(self, path, **more)

    monkeypatch.setattr(type(fs), "cat_file", flaky)
    assert RemoteSource(fs, "/x.bin", 100).read(10, 3) == bytes([10, 11, 12])
    failures = iter([OSError("down")] * 9)
    with pytest.raises(CheckpointError, match=r"'x.bin': cannot be read after 4 attempts \(down\)"):
        RemoteSource(fs, "/x.bin", 100).read(10, 3)


def test_servers_that_send_too_much_or_too_little(fs: Any) -> None:
    class Whole:
        def cat_file(self, path: str, start: int, end: int) -> bytes:
            return bytes(50_000)

    with pytest.raises(CheckpointError, match="does not send parts"):
        RemoteSource(Whole(), "x", 9000).read(0, 4000)
    fs.pipe_file("/short.bin", bytes(10))
    with pytest.raises(CheckpointError, match="10 of 20 bytes came"):
        RemoteSource(fs, "/short.bin", 20).read(0, 20)
    with pytest.raises(CheckpointError, match="truncated"):
        RemoteSource(fs, "/short.bin", 10).read(5, 6)


def test_what_is_not_there(fs: Any) -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        open_checkpoint("memory://nothing/here")
    with pytest.raises(CheckpointError, match="'x.safetensors' is missing"):
        open_checkpoint("memory://nothing/x.safetensors")


def test_secrets_stay_out_of_the_manifest() -> None:
    assert public("s3://key:secret@bucket/a/b?token=1#x") == "s3://bucket/a/b"


def test_blocks_are_let_go() -> None:
    cache, fetched = BlockCache(2), []
    for number in (0, 1, 0, 2, 0, 1):
        cache.get(("f", number), lambda n=number: fetched.append(n) or bytes([n]))
    assert fetched == [0, 1, 2, 1]
