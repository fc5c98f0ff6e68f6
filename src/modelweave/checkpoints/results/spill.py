"""Tensors that are written and read back within one run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...errors import OutputError
from ..dtypes import Bytes
from ..formats.file_tensor import FileTensor
from ..places.source import ByteSource, read_at
from ..tensors import InFile, TensorRef
from .layout import Spec, size_of
from .shard_file import write_at


class Spill(ByteSource):
    """A sink whose tensors can be read again, in a file without a name or, without a folder, in memory.

    No kill leaves anything of the file behind. Use it as a context, which gives everything back.
    """

    def __init__(self, specs: Iterable[Spec], folder: Path | None = None) -> None:
        self.specs = {spec[0]: spec for spec in specs}
        sizes = [size_of(spec) for spec in self.specs.values()]
        self._starts = dict(zip(self.specs, accumulate(sizes, initial=0), strict=False))
        self.size, self.name, self.where = sum(sizes), "spill", "the directions of this merge"
        self._folder = folder
        self._file: Any = None
        self._held: Bytes = np.empty(0, np.uint8)

    def __enter__(self) -> Spill:
        if self._folder is None:
            self._held = np.zeros(self.size, np.uint8)
            return self
        free = shutil.disk_usage(self._folder).free
        if self.size > free:
            raise OutputError(
                f"{self.where} need {self.size:,} bytes beside the result but {free:,} are free; make room or choose another disk"
            )
        with self._told():
            self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._held = None, np.empty(0, np.uint8)

    def ref(self, name: str) -> TensorRef:
        """A tensor that is finished."""
        _, shape, dtype = self.specs[name]
        return FileTensor(name, shape, dtype, self, self._starts[name])

    def is_done(self, name: str) -> bool:
        return False

    def notes(self, name: str) -> tuple[str, ...]:
        return ()

    def finish(self, name: str, notes: tuple[str, ...] = ()) -> None:
        """Nothing is left to do."""

    def write(self, name: str, start: int, data: Bytes) -> None:
        at = self._starts[name] + size_of((name, (start,), self.specs[name][2]))
        if self._file is None:
            self._held[at : at + data.nbytes] = data
            return
        with self._told():
            write_at(self._file.fileno(), data.data, at)

    @contextmanager
    def room(self, name: str, start: int, count: int) -> Iterator[InFile | None]:
        found, at = self.in_file(), self._starts[name] + size_of((name, (start,), self.specs[name][2]))
        with self._told():
            yield found and InFile(found.descriptor, at)

    def in_file(self) -> InFile | None:
        return None if self._file is None else InFile(self._file.fileno(), 0)

    def read_into(self, offset: int, out: Bytes) -> None:
        if self._file is None:
            out[:] = self._held[offset : offset + out.nbytes]
            return
        with self._told():
            read_at(self._file.fileno(), out.data, offset)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.where} cannot be kept beside the result ({error.strerror}); fix that and run again") from error
