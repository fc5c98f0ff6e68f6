"""The place of a result: that it is free, outside every input, and what the system refuses about it in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MANY = (errno.EMFILE, errno.ENFILE)
GO_ON = "fix that and run again with --resume, nothing finished is lost"


def real_target(out: str | os.PathLike[str]) -> Path:
    """Where a result will really stand: a link to an empty folder stays, and its target is filled."""
    if not isinstance(out, (str, os.PathLike)) or "\0" in os.fspath(out):
        raise OutputError(f"out: expected the path of a folder, got {out!r:.60}")
    return Path(os.path.realpath(out))


def refuse_existing(target: Path) -> None:
    """Raise OutputError unless the place is free or an empty folder."""
    if os.path.ismount(target):
        raise OutputError(f"'{target.name or target}' is the top of a disk, which cannot be replaced; choose a folder inside it")
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.is_dir():
        raise OutputError(f"'{target.name}' already exists and is not empty; choose another folder or remove it")
    if target.exists() or target.is_symlink():
        raise OutputError(f"'{target.name}' already exists and is no folder; choose another name or remove it")


def refuse_inside(out: str | os.PathLike[str], inputs: Iterable[Path]) -> None:
    """Raise OutputError when the target is one of the inputs' folders or lies within one."""
    target = real_target(out)
    for folder in inputs:
        real = Path(os.path.realpath(folder))
        if target == real or real in target.parents:
            raise OutputError(f"'{Path(out).name}' lies inside the input '{folder.name}'; choose a folder outside all inputs")


@contextmanager
def explained(target: Path, remedy: str = GO_ON) -> Iterator[None]:
    """Turn what the system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        name = f"'{target.name}'"
        if error.errno in _FULL:
            message = f"{name}: the disk is full; make room and run again with --resume, nothing finished is lost"
        elif error.errno == errno.EFBIG:
            message = (
                f"{name}: its weights' file is larger than the disk or `ulimit -f` allows; "
                "raise that and run again with --resume, or choose a smaller --shard-size"
            )
        elif error.errno in _MANY:
            message = f"{name}: too many files are open; raise `ulimit -n`, or choose a larger --shard-size"
        else:
            message = f"{name} cannot be written ({error.strerror}: {error.filename or target.parent}); {remedy}"
        raise OutputError(message) from error


class Parents:
    """The folders above a target that are made for a run, and taken away again when nothing came into them."""

    def __init__(self, target: Path) -> None:
        self._target, self._made = target, list[Path]()

    def make(self) -> None:
        folder = self._target.parent
        while not folder.exists():
            self._made.append(folder)
            folder = folder.parent
        self._target.parent.mkdir(parents=True, exist_ok=True)

    def remove_empty(self) -> None:
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()
