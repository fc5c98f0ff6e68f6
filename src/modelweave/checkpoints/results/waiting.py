"""Results that later documents of a recipe are made of: kept beside the last one until that is whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from ...errors import OutputError
from .lock import FolderLock
from .target import Parents, explained, real_target, refuse_existing


class WaitingResults:
    """The hidden folder for them, one numbered folder each, so that no name of a recipe becomes a path.

    Use it as a context: inside, nobody else merges into the same place. resume: keep what an earlier run left. lock: of `out`.
    discarded: whether an earlier run had left something that was not to be kept.
    Raises OutputError before anything is written when `out` exists, is in use or cannot be written.
    """

    def __init__(self, out: str | os.PathLike[str], *, resume: bool = False) -> None:
        self.out = real_target(out)
        self.folder = self._beside("stages")
        self._resume, self.discarded = resume, False
        self.lock = FolderLock(self._beside("lock"), self.out)
        self._parents = Parents(self.out)

    def __enter__(self) -> WaitingResults:
        try:
            with explained(self.out, "choose another folder"):
                refuse_existing(self.out)
                self._parents.make()
                self.lock.take()
                if not self._resume:
                    self.discarded = self.folder.exists()
                    self.remove()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.drop()
        self._parents.remove_empty()

    def place(self, number: int) -> Path:
        """The folder of one document's result."""
        return self.folder / str(number)

    def is_there(self, place: Path, fingerprint: str, found: str | None) -> bool:
        """Whether a result is whole. found: what its record says of recipe and inputs, which must be as they are now."""
        if not place.exists():
            return False
        if found != fingerprint:
            raise OutputError(
                f"'{self.out.name}' cannot be resumed: the recipe, an option, an input or modelweave changed since; "
                "drop --resume to start anew"
            )
        return True

    def remove(self) -> None:
        """Take all of them away."""
        if self.folder.is_symlink() or self.folder.is_file():
            raise OutputError(f"'{self.folder.name}' stands where this merge keeps what is not finished; remove it")
        with explained(self.out, f"remove '{self.folder.name}' by hand"):
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _beside(self, ending: str) -> Path:
        return self.out.parent / f".{self.out.name}.{ending}"
