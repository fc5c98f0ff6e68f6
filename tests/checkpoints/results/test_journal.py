"""What a journal says after it was cut at any byte."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from modelweave.checkpoints.results.journal import Journal

NAMES = ["a", "größe", 'quote"\\', "line\nbreak"]
NOTES = ("not a matrix: mean",)


def journal(folder: Path) -> Journal:
    return Journal(folder / "journal", folder / "parked")


def written(folder: Path) -> bytes:
    made = journal(folder)
    made.start("me")
    for name in NAMES:
        made.finished(name, NOTES)
    return (folder / "journal").read_bytes()


def test_cut_anywhere_it_holds_the_lines_before_and_takes_new_ones(tmp_path: Path) -> None:
    text = written(tmp_path)
    for size in range(len(text) + 1):
        (tmp_path / "journal").write_bytes(text[:size])
        again = journal(tmp_path)
        whole = text[:size].count(b"\n")
        assert again.read() == (("me", dict.fromkeys(NAMES[: whole - 1], NOTES)) if whole else (None, {}))
        if whole:
            again.append()
            again.finished("new")
            assert journal(tmp_path).read() == ("me", {**dict.fromkeys(NAMES[: whole - 1], NOTES), "new": ()})


def test_lines_after_damage_count_as_unwritten_and_are_replaced(tmp_path: Path) -> None:
    text = written(tmp_path)
    first = text.index(b"\n") + 1
    (tmp_path / "journal").write_bytes(text[:first] + b"\0\0\0\n" + text[first:])
    again = journal(tmp_path)
    assert again.read() == ("me", {})
    again.append()
    again.finished("b")
    assert journal(tmp_path).read() == ("me", {"b": ()})


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[1]\n", b'"a"\n', b'{"identity": 3}\n', b"\xff\n"])
def test_a_file_that_names_no_run(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "journal").write_bytes(text)
    assert journal(tmp_path).read() == (None, {})


def test_one_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(IsADirectoryError):
        journal(tmp_path).read()


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = journal(tmp_path)
    made.start("me")
    real, sizes = os.write, [2, 0]

    def full(descriptor: int, data: bytes) -> int:
        if not sizes.pop(0):
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        made.finished("long name")
    monkeypatch.undo()
    made.finished("b")  # as another thread would
    assert journal(tmp_path).read() == ("me", {"b": ()})


def test_parked_it_is_found_again_or_goes_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "staging"
    folder.mkdir()
    made = Journal(folder / "journal", tmp_path / "parked")
    made.start("me")
    made.park()
    assert not (folder / "journal").exists()
    assert Journal(folder / "journal", tmp_path / "parked").read() == ("me", {})
    assert not (tmp_path / "parked").exists()
    made.park()
    folder.rmdir()
    assert Journal(folder / "journal", tmp_path / "parked").read() == (None, {})
    assert list(tmp_path.iterdir()) == []
