"""A result appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from modelweave.checkpoints.results import folder
from modelweave.checkpoints.results.folder import FolderSink
from modelweave.checkpoints.results.layout import index_of, shards_of
from modelweave.checkpoints.results.target import refuse_inside
from modelweave.errors import OutputError

SPECS = [("a", (3, 4), "F32"), ("b", (), "F32"), ("c", (0, 2), "F32"), ("größe", (5,), "I64")]


def values() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "a": random.standard_normal((3, 4)).astype(np.float32),
        "b": np.array(2.5, np.float32),
        "c": np.empty((0, 2), np.float32),
        "größe": np.arange(5),
    }


def raw(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def fill(sink: FolderSink, data: dict[str, np.ndarray] | None = None) -> None:
    for name, array in (data or values()).items():
        if not sink.is_done(name):
            half = array.size // 2
            sink.write(name, half, raw(array.reshape(-1)[half:]))  # any order
            sink.write(name, 0, raw(array.reshape(-1)[:half]))
            sink.finish(name)


def test_a_single_shard_reads_back(tmp_path: Path) -> None:
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        fill(sink)
        sink.write_file("config.json", b"{}")
        assert not (tmp_path / "out").exists()
        sink.commit()
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found.keys() == values().keys()
    for name, array in values().items():
        assert np.array_equal(found[name], array) and found[name].shape == array.shape
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path: Path) -> None:
    data = {"a": values()["a"]}  # one tensor: the library chooses an order of its own for several
    save_file(data, tmp_path / "peer.safetensors", metadata={"format": "pt"})
    with FolderSink(tmp_path / "out", SPECS[:1], fingerprint="f") as sink:
        fill(sink, data)
        sink.commit()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (tmp_path / "peer.safetensors").read_bytes()


def test_shards_are_cut_at_the_size_and_indexed(tmp_path: Path) -> None:
    specs = [(f"t{i}", (4,), "F32") for i in range(5)]  # 16 bytes each
    data = {name: np.full(4, i, np.float32) for i, (name, _, _) in enumerate(specs)}
    with FolderSink(tmp_path / "out", specs, fingerprint="f", shard_size=33) as sink:
        fill(sink, data)
        sink.commit()
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 80
    assert index["weight_map"] == {f"t{i}": f"model-0000{i // 2 + 1}-of-00003.safetensors" for i in range(5)}
    for name, file in index["weight_map"].items():
        with safe_open(tmp_path / "out" / file, "np") as shard:
            assert np.array_equal(shard.get_tensor(name), data[name])


def test_a_tensor_larger_than_a_shard_has_one_alone() -> None:
    shards = shards_of([("a", (4,), "F32"), ("b", (400,), "F32"), ("c", (4,), "F32")], 64)
    assert [list(s.offsets) for s in shards] == [["a"], ["b"], ["c"]]
    assert json.loads(index_of(shards))["metadata"]["total_size"] == 1632


def test_an_unfinished_tensor_keeps_the_folder_away(tmp_path: Path) -> None:
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink, pytest.raises(OutputError, match="4 tensors are not finished"):
        sink.commit()
    assert not (tmp_path / "out").exists()


def test_an_existing_result_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(OutputError, match="already exists and is not empty"), FolderSink(tmp_path / "out", SPECS, fingerprint="f"):
        pass
    assert (tmp_path / "out" / "precious").read_text() == "x"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        fill(sink)
        sink.commit()
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_two_runs_into_one_place_are_refused(tmp_path: Path) -> None:
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        with pytest.raises(OutputError, match=f"another run .process {os.getpid()}"), FolderSink(tmp_path / "out", SPECS, fingerprint="f"):
            pass
        fill(sink)
        sink.commit()


def test_what_was_finished_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), FolderSink(out, SPECS, fingerprint="f") as sink:
        sink.write("a", 0, raw(values()["a"]))
        sink.finish("a")
        raise RuntimeError
    with FolderSink(out, SPECS, fingerprint="f", resume=True) as sink:
        assert [name for name, _, _ in SPECS if sink.is_done(name)] == ["a"]
        assert sink.notice == "resumed: 1 of 4 tensors were already finished"
        fill(sink)
        sink.commit()
    assert np.array_equal(load_file(out / "model.safetensors")["a"], values()["a"])


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        sink.finish("a")
        raise RuntimeError
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        assert not sink.is_done("a")
        assert sink.notice is not None and "--resume" in sink.notice


def test_a_changed_recipe_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), FolderSink(tmp_path / "out", SPECS, fingerprint="f"):
        raise RuntimeError
    with pytest.raises(OutputError, match="changed since"), FolderSink(tmp_path / "out", SPECS, fingerprint="g", resume=True):
        pass


def test_a_line_that_was_cut_short_counts_as_unwritten(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        sink.finish("a")
        raise RuntimeError
    with (tmp_path / ".out.partial" / ".journal").open("ab") as journal:
        journal.write(b'"b')
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f", resume=True) as sink:
        assert sink.is_done("a") and not sink.is_done("b")
        sink.finish("b")
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f", resume=True) as sink:
        assert sink.is_done("b")


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EFBIG, "larger than"), (errno.EROFS, "cannot be written")]
)
def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def full(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with pytest.raises(OutputError, match=f"{words}.*--resume"), FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink:
        sink.write("a", 0, raw(values()["a"]))
        sink.finish("a")
        monkeypatch.setattr(folder.os, "pwrite", full)
        sink.write("b", 0, raw(values()["b"]))
    monkeypatch.undo()
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f", resume=True) as sink:
        assert sink.is_done("a")
        fill(sink)
        sink.commit()
    assert load_file(tmp_path / "out" / "model.safetensors")["b"] == 2.5


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(OutputError, match="but 10 are free"), FolderSink(tmp_path / "new" / "out", SPECS, fingerprint="f"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), FolderSink(tmp_path / "file" / "out", SPECS, fingerprint="f"):
        pass


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a/b/c", ".hidden", "", "a\\b"])
def test_side_files_stay_inside(tmp_path: Path, name: str) -> None:
    with FolderSink(tmp_path / "out", SPECS, fingerprint="f") as sink, pytest.raises(OutputError, match="plain name"):
        sink.write_file(name, b"")


def test_the_result_may_not_lie_in_an_input(tmp_path: Path) -> None:
    (tmp_path / "base" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "base")
    for out in (tmp_path / "base", tmp_path / "base" / "sub" / "out", tmp_path / "link" / "out"):
        with pytest.raises(OutputError, match="inside the input"):
            refuse_inside(out, [tmp_path / "base"])
    refuse_inside(tmp_path / "base2", [tmp_path / "base"])


CHILD = """
import sys, time, numpy as np
from modelweave.checkpoints.results.folder import FolderSink
specs = [(f"t{i}", (50_000,), "F32") for i in range(40)]
with FolderSink(sys.argv[1], specs, fingerprint="f", shard_size=1_000_000, resume=True) as sink:
    for i, (name, _, _) in enumerate(specs):
        if sink.is_done(name):
            continue
        data = (np.arange(50_000, dtype=np.float32) * (i + 1)).view(np.uint8)
        for at in range(0, 50_000, 5_000):
            sink.write(name, at, data[at * 4 : at * 4 + 20_000])
            time.sleep(0.003)
        sink.finish(name)
    sink.commit()
"""


def test_kills_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([sys.executable, "-c", CHILD, str(whole)], check=True)
    kills = 0
    while not cut.exists():
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(cut)])
        try:
            child.wait(0.25 + 0.15 * random.random() + 0.05 * kills)  # longer each time, for slow machines
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
        assert cut.exists() or (tmp_path / ".cut.partial").exists() or kills
        assert kills < 60
    assert kills >= 1
    assert {p.name: p.read_bytes() for p in cut.iterdir()} == {p.name: p.read_bytes() for p in whole.iterdir()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut", "whole"]
