"""A result folder that appears whole or not at all, and a run that can be taken up where it was cut off."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType

from ..errors import ModelweaveError, OutputError
from .dtypes import DTYPES
from .journal import Journal
from .layout import Shard, Spec, index_of, shards_of
from .lock import FolderLock
from .tensors import Bytes

_JOURNAL = ".journal"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FolderSink:
    """Builds `out` in a hidden folder beside it and renames that when everything is there.

    specs: (name, shape, dtype tag) of every tensor, in writing order. fingerprint: of the recipe and inputs; a run is only taken up when
    it is the same. resume: keep what an earlier run finished. sync: force the data to disk before the rename, so that not
    even a power cut loses it; a kill never does. notice: what the user should know about an earlier run, or None.

    Use it as a context: inside, nobody else can write to the same place; an exception leaves what was finished for `resume`,
    unless an input is at fault.
    Raises OutputError before anything is written when `out` exists, is in use, cannot be written or will not fit.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        specs: Sequence[Spec],
        *,
        fingerprint: str,
        shard_size: int = 5_000_000_000,
        resume: bool = False,
        sync: bool = False,
        stem: str = "model",
    ) -> None:
        self.out = Path(os.path.abspath(out))
        self.specs = {name: (shape, dtype) for name, shape, dtype in specs}
        self.notice: str | None = None
        self._shards = shards_of(specs, shard_size, stem)
        self._stem, self._resume, self._sync = stem, resume, sync
        layout = hashlib.sha256(b"".join(s.header for s in self._shards)).hexdigest()
        self._identity = f"{fingerprint}:{layout}"
        self._staging = self.out.parent / f".{self.out.name}.partial"
        self._lock = FolderLock(self.out.parent / f".{self.out.name}.lock", self.out)
        self._journal = Journal(self._staging / _JOURNAL)
        self._done: set[str] = set()
        self._places: dict[str, tuple[int, int, int]] = {}
        self._descriptors: list[int] = []
        self._parents: list[Path] = []

    def __enter__(self) -> FolderSink:
        self._refuse_existing()
        with self._explained():
            self._parents = _missing_parents(self.out.parent)
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        try:
            with self._explained():
                self._take_up()
                self._refuse_too_large()
                self._open_shards()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if isinstance(error, ModelweaveError) and not isinstance(error, OutputError):
            shutil.rmtree(self._staging, ignore_errors=True)  # the input is at fault: there is nothing to take up

    def is_done(self, name: str) -> bool:
        return name in self._done

    def write(self, name: str, start: int, data: Bytes) -> None:
        descriptor, position, itemsize = self._places[name]
        view, at = memoryview(data.data), position + start * itemsize
        with self._explained():
            while len(view):
                count = os.pwrite(descriptor, view, at)
                view, at = view[count:], at + count

    def finish(self, name: str) -> None:
        with self._explained():
            self._journal.finished(name)
        self._done.add(name)

    def write_file(self, name: str, data: bytes) -> None:
        """A file beside the weights, by its plain name or one folder down."""
        parts = PurePosixPath(name).parts
        if not 0 < len(parts) <= 2 or ".." in parts or name.startswith(("/", ".")) or "\\" in name:
            raise OutputError(f"'{name}' is no name for a file of the result; expected a plain name")
        with self._explained():
            path = self._staging.joinpath(*parts)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)

    def commit(self) -> Path:
        """Let the folder appear under its name. Raises OutputError while a tensor is unfinished."""
        if unfinished := [n for n in self.specs if n not in self._done]:
            raise OutputError(f"'{self.out}': {len(unfinished)} tensors are not finished, the first is {unfinished[0]}")
        with self._explained():
            if len(self._shards) > 1:
                self.write_file(f"{self._stem}.safetensors.index.json", index_of(self._shards))
            self._close_files()
            (self._staging / _JOURNAL).unlink()
            if self._sync:
                _sync_folder(self._staging)
            if self.out.exists():
                self.out.rmdir()
            os.rename(self._staging, self.out)
            if self._sync:
                _sync_folder(self.out.parent)
        return self.out

    def _refuse_existing(self) -> None:
        if self.out.is_dir() and not any(self.out.iterdir()):
            return
        if self.out.exists() or self.out.is_symlink():
            raise OutputError(f"'{self.out.name}' already exists and is not empty; choose another folder or remove it")

    def _take_up(self) -> None:
        """Keep an earlier run's work where that is asked for and possible, else start anew."""
        identity, finished = self._journal.read()
        if self._resume and identity is not None:
            if identity != self._identity:
                raise OutputError(
                    f"'{self.out.name}' cannot be resumed: the recipe, an option or an input changed since; drop --resume to start anew"
                )
            self._done = finished & set(self.specs)
            self._journal.append()
            self.notice = f"resumed: {len(self._done)} of {len(self.specs)} tensors were already finished"
            return
        if self._resume:
            self.notice = "nothing to resume; started from the beginning"
        elif self._staging.exists():
            self.notice = "an earlier unfinished run was discarded; --resume would have kept it"
        if self._staging.exists():
            shutil.rmtree(self._staging)
        self._new = True

    _new = False

    def _refuse_too_large(self) -> None:
        held = sum(p.stat().st_blocks * 512 for p in self._staging.glob("*.safetensors")) if self._staging.exists() else 0
        need = sum(s.size for s in self._shards) - held
        free = shutil.disk_usage(self.out.parent).free
        if need > free:
            raise OutputError(f"'{self.out.name}' needs {need:,} bytes but {free:,} are free there; make room or choose another disk")

    def _open_shards(self) -> None:
        self._staging.mkdir(exist_ok=True)
        for shard in self._shards:
            path = self._staging / shard.name
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            self._descriptors.append(descriptor)
            if self._new or os.fstat(descriptor).st_size != shard.size:
                os.ftruncate(descriptor, shard.size)
                os.pwrite(descriptor, shard.header, 0)
            for name, offset in shard.offsets.items():
                self._places[name] = (descriptor, offset, DTYPES[self.specs[name][1]].itemsize)
        if self._new:
            self._journal.start(self._identity)

    def _close_files(self) -> None:
        self._journal.close()
        for descriptor in self._descriptors:
            if self._sync:
                os.fsync(descriptor)
            os.close(descriptor)
        self._descriptors = []

    def _leave(self) -> None:
        self._close_files()
        self._lock.drop()
        if not self._staging.exists() and not self.out.exists():
            for parent in self._parents:  # made for this run, and nothing came into them
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system refuses into one sentence."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise OutputError(
                    f"'{self.out.name}': the disk is full; make room and run again with --resume, nothing finished is lost"
                ) from error
            raise OutputError(
                f"'{self.out.name}' cannot be written ({error.strerror}: {error.filename or self.out.parent}); choose another folder"
            ) from error


def refuse_inside(out: str | os.PathLike[str], inputs: Iterable[Path]) -> None:
    """Raise OutputError when the target is one of the inputs' folders or lies within one."""
    target = Path(os.path.realpath(out))
    for folder in inputs:
        real = Path(os.path.realpath(folder))
        if target == real or real in target.parents:
            raise OutputError(f"'{Path(out).name}' lies inside the input '{folder.name}'; choose a folder outside all inputs")


def _missing_parents(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def _sync_folder(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


__all__ = ["FolderSink", "Shard", "refuse_inside"]
