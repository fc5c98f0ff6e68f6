"""One run at a time, and never a lock that outlives its holder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelweave.checkpoints.results import lock
from modelweave.checkpoints.results.lock import FolderLock
from modelweave.errors import OutputError

CHILD = """
import sys, pathlib
from modelweave.checkpoints.results.lock import FolderLock
FolderLock(pathlib.Path(sys.argv[1]), pathlib.Path("out")).take()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named_and_its_death_frees_the_place(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        mine = FolderLock(path, tmp_path / "out")
        with pytest.raises(OutputError, match=f"another run .process {child.pid}.; wait for it"):
            mine.take()
        mine.drop()  # what was never held is not taken away
        assert path.exists()
        child.kill()
    mine.take()
    assert path.read_text().strip() == str(os.getpid())
    mine.drop()
    assert not path.exists()


def test_a_file_that_its_holder_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    first, second, third = (FolderLock(path, tmp_path) for _ in range(3))
    first.take()
    real, calls = lock._lock, []

    def late(descriptor: int) -> None:
        if not calls:
            first.drop()  # between the second's opening and locking
        calls.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(lock, "_lock", late)
    second.take()
    assert len(calls) == 2
    with pytest.raises(OutputError, match="another run"):
        third.take()
    second.drop()


def test_a_disk_without_locks_is_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", fail)
    with pytest.raises(OutputError, match="cannot be locked .No locks available.; choose a folder on a disk that supports locks"):
        FolderLock(tmp_path / "lock", tmp_path / "out").take()
