"""A run that was cut off goes on where that is safe, and only there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from modelweave.checkpoints.results import folder
from modelweave.checkpoints.results.folder import FolderSink
from modelweave.errors import CheckpointError, ModelweaveError, NonFiniteError, OutputError, ParameterError

SPECS = [("a", (3000,), "F32"), ("b", (3000,), "F32"), ("c", (3000,), "F32")]
DATA = {name: np.arange(3000, dtype=np.float32) + 1000 * i for i, (name, _, _) in enumerate(SPECS, 1)}


def open_sink(out: Path, **more: Any) -> FolderSink:
    return FolderSink(out, SPECS, fingerprint="f", shard_size=24_000, **more)  # a and b, then c


def put(sink: FolderSink, *names: str) -> None:
    for name in names or DATA:
        if not sink.is_done(name):
            sink.write(name, 0, DATA[name].view(np.uint8))
            sink.finish(name)


def cut_off(out: Path, *names: str, error: BaseException | None = None, **more: Any) -> Path:
    """A run that ended early; the folder it left."""
    error = error or KeyboardInterrupt()
    with suppress(type(error)), open_sink(out, **more) as sink:
        put(sink, *names)
        sink.write_file("config.json", b"old")
        raise error
    return out.parent / f".{out.name}.partial"


def resumed(out: Path, **more: Any) -> set[str]:
    """Complete a run; what it did not have to do again."""
    with open_sink(out, resume=True, **more) as sink:
        done = {name for name in DATA if sink.is_done(name)}
        put(sink)
        sink.commit()
    found = {name: t for file in out.glob("*.safetensors") for name, t in load_file(file).items()}
    assert all(np.array_equal(found[name], DATA[name]) for name in DATA)
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    return done


def unlink(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(9)
        file.write(b"?")


@pytest.mark.parametrize("damage", [unlink, shorten, spoil_header])
def test_a_journal_is_not_believed_against_the_files(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    staging = cut_off(tmp_path / "out", "a", "b", "c")
    damage(staging / "model-00001-of-00002.safetensors")
    with suppress(KeyboardInterrupt), open_sink(tmp_path / "out", resume=True) as sink:
        assert sink.is_done("c") and not sink.is_done("a")
        raise KeyboardInterrupt  # the file is whole again, but its data is not: the next run must not fall for it
    assert resumed(tmp_path / "out") == {"c"}


def test_data_that_a_power_cut_turned_into_holes_is_done_again(tmp_path: Path) -> None:
    staging = cut_off(tmp_path / "out", "a", "b", "c")
    shard = staging / "model-00002-of-00002.safetensors"
    whole = shard.read_bytes()
    os.truncate(shard, len(whole) - DATA["c"].nbytes)
    os.truncate(shard, len(whole))
    if not hasattr(os, "SEEK_HOLE"):
        return
    with shard.open("rb") as file:
        tells = os.lseek(file.fileno(), 0, os.SEEK_HOLE) < len(whole)
    if not tells:
        return  # this file system does not tell holes from zeros
    assert resumed(tmp_path / "out") == {"a", "b"}


def test_an_interrupt_at_the_rename_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.os, "rename", stop)
    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / "out") as sink:
        put(sink)
        sink.commit()
    monkeypatch.undo()
    assert resumed(tmp_path / "out") == {"a", "b", "c"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_the_rename_loses_nothing(tmp_path: Path, moment: str) -> None:
    rename = "real(*a); " if moment == "after" else ""
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_resume import open_sink, put\nfrom pathlib import Path\nreal = os.rename\n"
        f"def die(*a): {rename}os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.rename = die\n"
        "with open_sink(Path(sys.argv[2])) as sink: put(sink); sink.commit()\n"
    )
    out = tmp_path / "out"
    child = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(out)], capture_output=True)
    assert child.returncode == -9, child.stderr
    if moment == "after":
        assert {p.name for p in out.iterdir()} == {f"model-0000{i}-of-00002.safetensors" for i in (1, 2)} | {"model.safetensors.index.json"}
        shutil.rmtree(out)
        assert resumed(out) == set()  # the journal that was left belongs to nothing
    else:
        assert resumed(out) == {"a", "b", "c"}


def test_a_target_that_was_filled_meanwhile_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="already exists"), open_sink(out) as sink:
        put(sink)
        out.mkdir()
        (out / "precious").write_text("x")
        sink.commit()
    assert [p.name for p in out.iterdir()] == ["precious"]
    shutil.rmtree(out)
    assert resumed(out) == {"a", "b", "c"}


def test_what_another_run_left_does_not_get_into_the_result(tmp_path: Path) -> None:
    staging = cut_off(tmp_path / "out", "a")
    (staging / "sub").mkdir()
    (staging / "sub" / "file").write_text("x")
    (staging / ".journal.new").write_text("x")
    resumed(tmp_path / "out")
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".safetensors", ".json"}
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.parametrize(
    "change", [{"fingerprint": "g"}, {"shard_size": 10_000}, {"stem": "other"}, {"specs": SPECS[:2]}, {"metadata": {"format": "np"}}]
)
def test_whatever_changes_the_bytes_forbids_resuming(tmp_path: Path, change: dict[str, Any]) -> None:
    staging = cut_off(tmp_path / "out", "a")
    given = {"out": tmp_path / "out", "specs": SPECS, "fingerprint": "f", "shard_size": 24_000, "resume": True, **change}
    with pytest.raises(OutputError, match="changed since; drop --resume"), FolderSink(**given):
        pass
    assert staging.exists() and resumed(tmp_path / "out") == {"a"}


def test_another_version_does_not_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(tmp_path / "out", "a")
    monkeypatch.setattr(folder, "VERSION", "999")
    with pytest.raises(OutputError, match="modelweave changed since"), open_sink(tmp_path / "out", resume=True):
        pass


def test_with_nothing_to_resume_it_starts(tmp_path: Path) -> None:
    with open_sink(tmp_path / "out", resume=True) as sink:
        assert not sink.notice and not sink.is_done("a")


def caused(error: ModelweaveError, cause: BaseException) -> ModelweaveError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (NonFiniteError("w holds NaN"), False),
        (caused(ParameterError("w: bad"), ParameterError("bad")), False),
        (caused(CheckpointError("cannot be read after 4 attempts"), ConnectionResetError()), True),
        (OutputError("full"), True),
        (MemoryError(), True),
    ],
)
def test_work_is_kept_unless_an_input_is_at_fault(tmp_path: Path, error: BaseException, stays: bool) -> None:
    staging = cut_off(tmp_path / "out", "a", error=error)
    assert staging.exists() is stays
    assert resumed(tmp_path / "out") == ({"a"} if stays else set())


def test_a_limit_of_the_system_stops_it_until_it_is_raised(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\n"
        "from modelweave.errors import OutputError\nfrom test_resume import open_sink, put\n"
        "try:\n"
        "    with open_sink(Path(sys.argv[2])) as sink:\n"
        "        put(sink, 'a')\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY))\n"
        "        put(sink, 'b')\n"
        "except OutputError as error:\n    print(error)\n"
    )
    assert resource.RLIM_INFINITY
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "out")]
    assert "ulimit -f" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert resumed(tmp_path / "out") == {"a"}


def test_a_failure_at_the_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(folder.os, "ftruncate", full)
    with pytest.raises(OutputError), open_sink(tmp_path / "x" / "y" / "out"):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_room_is_counted_less_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(tmp_path / "out", "a", "b", "c")
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100})())
    assert resumed(tmp_path / "out") == {"a", "b", "c"}
    with (
        pytest.raises(OutputError, match=r"needs 36\.\d kB \(36,\d{3} bytes\) but 100 are free .100 B.; make room"),
        open_sink(tmp_path / "new"),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_journal_that_cannot_be_read_is_not_thrown_away(tmp_path: Path) -> None:
    staging = cut_off(tmp_path / "out", "a")
    os.rename(staging / ".journal", staging / "kept")
    (staging / ".journal").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), open_sink(tmp_path / "out", resume=True):
        pass
    assert (staging / "kept").exists()


def test_threads_write_at_once(tmp_path: Path) -> None:
    specs = [(f"t{i}", (1000 + i,), "F32") for i in range(40)]
    data = {name: np.random.default_rng(i).standard_normal(shape).astype(np.float32) for i, (name, shape, _) in enumerate(specs)}
    with FolderSink(tmp_path / "out", specs, fingerprint="f", shard_size=50_000, sync=True) as sink:

        def work(names: list[str]) -> None:
            for name in names:
                for at in (500, 0, 250, 750):
                    stop = None if at == 750 else at + 250
                    sink.write(name, at, data[name][at:stop].view(np.uint8))
                sink.finish(name)

        threads = [threading.Thread(target=work, args=([*data][i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.commit()
    found = {name: t for file in (tmp_path / "out").glob("*.safetensors") for name, t in load_file(file).items()}
    assert found.keys() == data.keys() and all(np.array_equal(found[name], data[name]) for name in data)


@pytest.mark.parametrize(("name", "start", "size"), [("a", -1, 4), ("a", 2999, 8), ("a", 3000, 4), ("nobody", 0, 4)])
def test_no_write_reaches_beyond_its_tensor(tmp_path: Path, name: str, start: int, size: int) -> None:
    with open_sink(tmp_path / "out") as sink, pytest.raises(OutputError, match=name):
        sink.write(name, start, np.zeros(size, np.uint8))


def test_nothing_is_written_outside_the_context(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "out")
    for _ in range(2):
        with pytest.raises(OutputError, match="outside the sink's context"):
            put(sink, "a")
        with sink:
            pass


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "MODEL.safetensors.index.json", "a\0b"])
def test_a_side_file_does_not_replace_weights(tmp_path: Path, name: str) -> None:
    with open_sink(tmp_path / "out") as sink, pytest.raises(OutputError):
        sink.write_file(name, b"")


@pytest.mark.parametrize("target", ["empty", "missing"])
def test_a_link_stays_and_its_target_is_filled(tmp_path: Path, target: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to(target)
    with open_sink(tmp_path / "out") as sink:
        put(sink)
        sink.commit()
    assert (tmp_path / "out").is_symlink()
    assert len(list((tmp_path / target).glob("*.safetensors"))) == 2


def test_the_top_of_a_disk_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(folder.os.path, "ismount", lambda path: Path(path).name == "out")
    with pytest.raises(OutputError, match="top of a disk.*choose a folder inside"), open_sink(tmp_path / "out"):
        pass
