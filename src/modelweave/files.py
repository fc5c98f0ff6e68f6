"""Files that appear whole or not at all, and files of records that only grow."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import OutputError


def check_writable(file: str | Path) -> None:
    """Raise OutputError where a file could not be written later, after long work."""
    place = Path(file)
    if place.is_dir():
        raise OutputError(f"{file}: is a folder, expected the name of a file")
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        raise OutputError(f"{file}: cannot be written: its folder does not exist or takes no files")


@contextmanager
def whole(target: str | Path, *, sync: bool = False) -> Iterator[Path]:
    """A path to write a file or folder at, which takes the target's name when the block ends and goes when it fails.

    It stands beside the target and ends as it does. A link stays a link to what is written, and a device is written to.
    sync: force a file to the disk before it is renamed. Raises OSError where that cannot be done.
    """
    place = Path(os.path.realpath(target))
    if place.exists() and not place.is_file() and not place.is_dir():
        yield place
        return
    part = place.with_name(f".part-{place.name}")
    _remove(part)
    try:
        yield part
        if sync and part.is_file():
            with part.open("rb") as written:
                os.fsync(written.fileno())
        part.replace(place)
    except BaseException:
        with suppress(OSError):
            _remove(part)
        raise


def write_bytes(file: str | Path, data: bytes) -> None:
    """Write a file, whole or not at all. Raises OutputError where that cannot be done."""
    try:
        with whole(file) as place:
            place.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from None


def write_text(file: str | Path, text: str) -> None:
    """The same for text, as UTF-8."""
    write_bytes(file, text.encode())


def write_json(file: str | Path, value: Any) -> None:
    """The same for plain data, as JSON that people can read."""
    write_text(file, json.dumps(value, indent=2) + "\n")


class Records:
    """A file that grows by a line of JSON for each record, so that work which was interrupted goes on.

    A line that a kill cut short counts as not written. Several threads may append. Methods raise OSError.
    """

    def __init__(self, file: str | Path, *, sync: bool = False) -> None:
        """sync: force each record to the disk before `append` returns."""
        self.file, self.sync = Path(file), sync
        self._lock = threading.Lock()

    def read(self, *, past_damage: bool = False) -> list[Any]:
        """The records in order, none without a file. past_damage: go on after a line that is no JSON, rather than end there."""
        try:
            text = self.file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        for line in text.split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                if not past_damage:
                    break
        return found

    def rewrite(self, records: Iterable[Any]) -> None:
        """These records in place of any others; a kill leaves the old or the new ones."""
        with whole(self.file) as place:
            place.write_bytes(b"".join(map(_line, records)))

    def append(self, record: Any) -> None:
        """Add one; what does not fit on the disk is taken back."""
        with self._lock:
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                before = os.fstat(descriptor).st_size
                cut_short = before > 0 and _last_byte(descriptor) != b"\n"
                self._write(descriptor, b"\n" * cut_short + _line(record), before)
            finally:
                os.close(descriptor)

    def _write(self, descriptor: int, line: bytes, before: int) -> None:
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            if self.sync:
                os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise


def _line(record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _last_byte(descriptor: int) -> bytes:
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
