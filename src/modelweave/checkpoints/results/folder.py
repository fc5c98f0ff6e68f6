"""A result folder that appears whole or not at all, and a run that can be taken up where it was cut off."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple

from ...errors import ModelweaveError, OutputError
from ...text.sizes import human_size
from ...text.words import counted
from ...version import VERSION
from ..dtypes import DTYPES, Bytes
from ..tensors import InFile
from .journal import Journal
from .layout import METADATA, Spec, index_of, shards_of, size_of
from .lock import FolderLock
from .shard_file import kept, open_shard, sync_entry, sync_tree, write_at
from .side_tensors import SideTensors
from .target import Parents, explained, real_target, refuse_existing

DISCARDED = "an earlier unfinished run was discarded; --resume would have kept it"
"""What the user is told of work that is thrown away."""
_JOURNAL = ".journal"
_FORMAT = 3


class _Place(NamedTuple):
    descriptor: int
    position: int
    itemsize: int
    nbytes: int


class FolderSink:
    """Builds `out` in a hidden folder beside it and renames that when everything is there.

    specs: (name, shape, dtype tag) of every tensor, in writing order. fingerprint: of the recipe and inputs; a run is only taken up when
    it is the same. resume: keep what an earlier run finished. sync: force each tensor to disk before it counts as finished, and the
    folder before the rename, so that not even a power cut loses it; a kill never does, and `cp` does not do it either.
    stem: of the weights' file names. metadata: text for the headers. lock: of `out`, where the caller holds it.
    notice: what became of the work of an earlier run, empty where there was none.

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
        metadata: Mapping[str, str] = METADATA,
        lock: FolderLock | None = None,
    ) -> None:

        self.out = real_target(out)
        self.specs = {name: (shape, dtype) for name, shape, dtype in specs}
        self.notice = ""
        self._shards = shards_of(specs, shard_size, stem, metadata)
        self._stem, self._resume, self._sync, self._new = stem, resume, sync, False
        layout = hashlib.sha256(b"".join(s.name.encode() + s.header for s in self._shards)).hexdigest()
        self._identity = f"{_FORMAT}:{VERSION}:{fingerprint}:{layout}"
        self._staging = self._beside("partial")
        self._own_lock = FolderLock(self._beside("lock"), self.out) if lock is None else None
        self._journal = Journal(self._staging / _JOURNAL, self._beside("journal"), sync=sync)
        self._sizes = {spec[0]: size_of(spec) for spec in specs}
        self._done: set[str] = set()
        self._notes: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, _Place] = {}
        self._descriptors: list[int] = []
        self._parents = Parents(self.out)

    def __enter__(self) -> FolderSink:
        try:
            with explained(self.out, "choose another folder"):
                refuse_existing(self.out)
                self._parents.make()
                if self._own_lock is not None:
                    self._own_lock.take()
                refuse_existing(self.out)  # a run that held the lock until now may have filled it
                self._take_up()
                self._refuse_too_large()
                self._open_shards()
        except BaseException:
            self._leave(discard=self._new)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave(discard=_is_beyond_help(error))

    def is_done(self, name: str) -> bool:
        return name in self._done

    def is_complete(self) -> bool:
        """Whether files of exactly these tensors stand at `out` already, whatever is in them."""
        return all(kept(self.out / s.name, s, self._sizes) == s.offsets.keys() for s in self._shards)

    def write(self, name: str, start: int, data: Bytes) -> None:
        place = self._within(name, start, data.nbytes)
        with explained(self.out):
            write_at(place.descriptor, data.data, place.offset)

    @contextmanager
    def room(self, name: str, start: int, count: int) -> Iterator[InFile]:
        with explained(self.out):
            yield self._within(name, start, count * self._place(name).itemsize)

    def notes(self, name: str) -> tuple[str, ...]:
        return self._notes.get(name, ())

    def finish(self, name: str, notes: tuple[str, ...] = ()) -> None:
        place = self._place(name)
        with explained(self.out):
            if self._sync:
                os.fsync(place.descriptor)
            self._journal.finished(name, notes)
        self._done.add(name)

    def write_file(self, name: str, data: bytes) -> None:
        """A file beside the weights, by its plain name or one folder down."""
        parts = PurePosixPath(name).parts
        if not 0 < len(parts) <= 2 or ".." in parts or name.startswith(("/", ".")) or "\\" in name or "\0" in name:
            raise OutputError(f"{name!r} is no name for a file of the result; expected a plain name")
        if name.casefold() in {self._index.casefold(), *(s.name.casefold() for s in self._shards)}:
            raise OutputError(f"'{name}' is the name of the weights; choose another for this file")
        self._put(PurePosixPath(*parts), data)

    @contextmanager
    def side_tensors(self, stem: str, specs: Sequence[Spec], metadata: Mapping[str, str]) -> Iterator[SideTensors]:
        """A file of tensors beside the weights, to be filled before `commit`."""
        with explained(self.out), SideTensors(self._staging, stem, specs, metadata) as file:
            yield file

    def commit(self) -> Path:
        """Let the folder appear under its name. Raises OutputError while a tensor is unfinished."""
        if unfinished := [n for n in self.specs if n not in self._done]:
            raise OutputError(
                f"'{self.out}': {counted(len(unfinished), 'tensor is', 'tensors are')} not finished, the first is {unfinished[0]}"
            )
        if len(self._shards) > 1:
            self._put(PurePosixPath(self._index), index_of(self._shards))
        with explained(self.out):
            self._close_files()
            if self._sync:
                sync_tree(self._staging)
            refuse_existing(self.out)
            self._journal.park()
            try:
                if os.name == "nt" and self.out.exists():
                    self.out.rmdir()  # elsewhere a rename replaces an empty folder
                os.rename(self._staging, self.out)
            finally:
                self._journal.unpark()
            if self._sync:
                sync_entry(self.out.parent)
        return self.out

    @property
    def _index(self) -> str:
        return f"{self._stem}.safetensors.index.json"

    def _beside(self, ending: str) -> Path:
        return self.out.parent / f".{self.out.name}.{ending}"

    def _place(self, name: str) -> _Place:
        if name not in self._places:
            why = "is not among the tensors of this result" if name not in self.specs else "is written outside the sink's context"
            raise OutputError(f"'{self.out.name}': the tensor {name} {why}; announce it in specs and write inside `with`")
        return self._places[name]

    def _within(self, name: str, start: int, nbytes: int) -> InFile:
        place = self._place(name)
        at = start * place.itemsize
        if at < 0 or at + nbytes > place.nbytes:
            raise OutputError(f"{name}: {nbytes} bytes from element {start} on do not fit its {place.nbytes} bytes; check its shape")
        return InFile(place.descriptor, place.position + at)

    def _put(self, name: PurePosixPath, data: bytes) -> None:
        with explained(self.out):
            path = self._staging / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)

    def _take_up(self) -> None:
        """Keep an earlier run's work where that is asked for and possible, else start anew."""
        identity, finished = self._journal.read()
        if self._resume and identity is not None:
            if identity != self._identity:
                raise OutputError(
                    f"'{self.out.name}' cannot be resumed: the recipe, an option, an input or modelweave changed since; "
                    "drop --resume to start anew"
                )
            self._keep(finished)
            return
        if not self._resume and self._staging.exists():
            self.notice = DISCARDED
        self._discard()
        self._new = True

    def _keep(self, finished: Mapping[str, tuple[str, ...]]) -> None:
        """Trust the journal as far as the files bear it out, and remove what a run left that this one may not write."""
        on_disk = {name for shard in self._shards for name in kept(self._staging / shard.name, shard, self._sizes)}
        self._notes = {name: notes for name, notes in finished.items() if name in on_disk}
        self._done = set(self._notes)
        if len(self._done) < len(finished):
            self._journal.start(self._identity, self._notes)  # before the files change, so that no kill finds it ahead of them
        else:
            self._journal.append()
        for path in self._staging.iterdir():
            if path.name not in {_JOURNAL, *(s.name for s in self._shards)}:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.notice = f"resumed: {len(self._done)} of {len(self.specs)} tensors were already finished"

    def _discard(self) -> None:
        if self._staging.exists():
            self._journal.remove()  # first, so that a kill leaves no journal of files that are gone
            shutil.rmtree(self._staging)

    def _refuse_too_large(self) -> None:
        files = [self._staging / s.name for s in self._shards]
        held = sum(getattr(p.stat(), "st_blocks", 0) * 512 for p in files if p.exists())
        need = sum(s.size for s in self._shards) - held
        free = shutil.disk_usage(self.out.parent).free
        if need > free:
            raise OutputError(
                f"'{self.out.name}' needs {human_size(need)} ({need:,} bytes) but {free:,} are free ({human_size(free)}); "
                "make room or choose another disk"
            )

    def _open_shards(self) -> None:
        self._staging.mkdir(exist_ok=True)
        for shard in self._shards:
            descriptor = open_shard(self._staging / shard.name, shard)
            self._descriptors.append(descriptor)
            for name, offset in shard.offsets.items():
                self._places[name] = _Place(descriptor, offset, DTYPES[self.specs[name][1]].itemsize, self._sizes[name])
        if self._new:
            self._journal.start(self._identity)

    def _close_files(self) -> None:
        self._places = {}
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _leave(self, discard: bool) -> None:
        """Give everything back, the lock last."""
        self._close_files()
        if discard:
            with suppress(OSError):
                self._journal.remove()
            shutil.rmtree(self._staging, ignore_errors=True)
        if self._own_lock is not None:
            self._own_lock.drop()
        self._parents.remove_empty()


def _is_beyond_help(error: BaseException | None) -> bool:
    """Whether an input is at fault, so that the same run can never end well; a line or a disk that failed may do better next time."""
    if not isinstance(error, ModelweaveError) or isinstance(error, OutputError):
        return False
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, ModelweaveError)
