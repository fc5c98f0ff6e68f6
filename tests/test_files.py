"""Files that are whole or not there, and records that survive a kill."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from threading import Thread

import pytest

from modelweave.drawing import new_figure, save_figure
from modelweave.errors import OutputError
from modelweave.files import Records, whole, write_bytes, write_json, write_text


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"b": 1})
    with pytest.raises(KeyboardInterrupt), whole(file) as place:
        place.write_text("half")
        raise KeyboardInterrupt
    assert json.loads(file.read_text()) == {"b": 1} and list(tmp_path.iterdir()) == [file]
    write_bytes(file, b"\0")
    assert file.read_bytes() == b"\0"


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    for fails in (True, False):
        try:
            with whole(tmp_path / "model") as place:
                place.mkdir()
                (place / "a").touch()
                assert not fails
        except AssertionError:
            assert list(tmp_path.iterdir()) == []
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["a"]


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write_text(tmp_path / "link", "é")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text(encoding="utf-8") == "é"
    write_text("/dev/null", "a")
    assert not Path("/dev/null").is_file()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/a\.txt: cannot be written: No such file"):
        write_text(tmp_path / "no" / "a.txt", "a")


def test_a_figure_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_text("before")
    figure = new_figure(1, 1)
    figure.text(0, 0, "$\\nonsense$")
    with pytest.raises(OutputError, match="the figure cannot be written"):
        save_figure(figure, file)
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    save_figure(new_figure(1, 1), file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_records_cut_anywhere_take_new_ones(tmp_path: Path) -> None:
    records = Records(tmp_path / "r", sync=True)
    rows = [{"key": "größe"}, ["a\nb", 1.5], None]
    for row in rows:
        records.append(row)
    text = records.file.read_bytes()
    for size in range(len(text) + 1):
        records.file.write_bytes(text[:size])
        kept = rows[: text[:size].count(b"\n")]
        assert records.read() == kept
        records.append("new")
        assert [row for row in records.read(past_damage=True) if row not in rows] == ["new"]


def test_records_after_damage_count_when_asked(tmp_path: Path) -> None:
    records = Records(tmp_path / "r")
    assert records.read() == []
    records.file.write_bytes(b"1\n\0\0\n2\n")
    assert records.read() == [1] and records.read(past_damage=True) == [1, 2]
    records.rewrite(records.read())
    assert records.file.read_bytes() == b"1\n"


def test_a_record_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path / "r")
    records.append(1)
    real, sizes = os.write, [2, 0]

    def full(descriptor: int, data: bytes) -> int:
        if not sizes.pop(0):
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:2])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        records.append("long")
    assert records.file.read_bytes() == b"1\n"


def test_threads_append_whole_records(tmp_path: Path) -> None:
    records = Records(tmp_path / "r")
    threads = [Thread(target=lambda n=n: [records.append([n, i]) for i in range(50)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(records.read()) == [[n, i] for n in range(4) for i in range(50)]
