"""Repositories of the Hugging Face hub: headers by ranged requests, whole files once their data are needed."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import CheckpointError, OutputError
from ...files import write_text
from ..dtypes import Bytes
from .place import SUBFOLDERS, TOKENIZER_FILES, LocalPlace, Place
from .remote import BlockCache, RemoteSource, line_of, patiently
from .source import ByteSource, LocalSource

_COMMIT = re.compile("[0-9a-f]{40}")


def hub_place(repo: str, revision: str | None, where: str, tried: Sequence[str] = ()) -> Place:
    """The files of a repository at a revision, pinned to its commit.

    Without a line, or with HF_HUB_OFFLINE, what is in the cache. tried: the local paths that were looked for, for the message.
    """
    from huggingface_hub import HfApi, constants

    cached = cached_snapshot(repo, revision)
    if constants.HF_HUB_OFFLINE:
        if cached is not None:
            return _from_cache(cached, where, ())
        raise CheckpointError(_nowhere(where, repo, tried, "which is switched off by HF_HUB_OFFLINE and has no copy in the cache"))
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=20)
    except Exception as error:
        # the hub's client raises errors of several libraries for a line that fails
        reason = _reason(error)
        if cached is not None and reason is None:
            told = f"{where}: the hub cannot be reached ({line_of(error)}), the copy in the cache is taken, {cached.name[:12]}"
            return _from_cache(cached, where, (told,))
        raise CheckpointError(_nowhere(where, repo, tried, reason or f"which cannot be reached ({line_of(error)})")) from error
    return HubPlace(repo, revision or "main", str(info.sha), where, info.siblings or [])


def _from_cache(folder: Path, where: str, warnings: tuple[str, ...]) -> LocalPlace:
    """The files of a snapshot that the cache holds, which may be some of the repository's."""
    place = LocalPlace(folder, where)
    names = place.sizes()
    if "config.json" in names and not any(name in names for name in TOKENIZER_FILES):
        told = f"{where}: the cache holds no tokenizer; if the repository has one, it is neither compared nor copied"
        warnings = (*warnings, told)
    place.warnings = warnings
    return place


def cached_snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of a revision in the hub's cache on this disk, which may lack files."""
    root = _cache_of(repo)
    revision = revision or "main"
    try:
        commit = (root / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = revision
    folder = root / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and folder.is_dir() else None


def _remember(repo: str, revision: str, commit: str) -> None:
    """Note in the cache which commit a revision is, as the hub's client does only where it is asked by that name.

    Without the note the files would not be found again without a line.
    """
    if _COMMIT.fullmatch(revision):
        return
    note = _cache_of(repo) / "refs" / revision
    with contextlib.suppress(OSError, OutputError):  # a cache that others own serves without it
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, commit)


def _cache_of(repo: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / ("models--" + repo.replace("/", "--"))


class HubPlace(Place):
    """A repository at one commit. revision: the name under which that was found."""

    def __init__(self, repo: str, revision: str, commit: str, where: str, siblings: Sequence[Any]) -> None:
        self.repo, self.revision, self.commit, self.where = repo, revision, commit, where
        known = [s for s in siblings if isinstance(getattr(s, "size", None), int)]
        self._files = {s.rfilename: s for s in known if "/" not in s.rfilename or s.rfilename.rpartition("/")[0] in SUBFOLDERS}
        self._cache = BlockCache()

    def sizes(self) -> Mapping[str, int]:
        return {name: int(file.size) for name, file in self._files.items()}

    def open(self, name: str) -> ByteSource:
        if name not in self._files:
            raise CheckpointError(f"{self.where}: the repository lacks '{name}'; check its files on the hub")
        folder = cached_snapshot(self.repo, self.commit)
        if folder is not None and (folder / name).is_file():
            _remember(self.repo, self.revision, self.commit)
            return LocalSource(folder / name, name, f"{self.where}: '{name}'")
        return HubSource(self._ranged(name), lambda: self._download(name))

    def read(self, name: str, limit: int = 256 << 20) -> bytes:
        source = self.open(name)
        # small files are worth keeping in the cache
        if isinstance(source, HubSource) and source.size <= limit:
            source = source.fetched()
        if source.size > limit:
            raise CheckpointError(f"{self.where}: '{name}' has {source.size} bytes, expected at most {limit}; remove or replace it")
        return source.read(0, source.size)

    def origin(self) -> dict[str, Any]:
        return {"repo": self.repo, "revision": self.commit}

    def stamp(self, name: str) -> str:
        return f"{self.commit} {self._files[name].size}"

    def sha256(self, name: str) -> str | None:
        stored = getattr(self._files.get(name), "lfs", None)
        found = stored.get("sha256") if isinstance(stored, Mapping) else getattr(stored, "sha256", None)
        return str(found) if found else None

    def _ranged(self, name: str) -> RemoteSource:
        from huggingface_hub import hf_hub_url

        address = hf_hub_url(self.repo, name, revision=self.commit)
        return RemoteSource(_HubRanges(self.where), address, int(self._files[name].size), self._cache, f"{self.where}: '{name}'")

    def _download(self, name: str) -> str:
        from huggingface_hub import hf_hub_download

        try:
            path = os.fspath(patiently(lambda: hf_hub_download(self.repo, name, revision=self.commit), self.where))
        except Exception as error:
            reason = _reason(error) or _reason(error.__cause__) or f"which cannot be reached ({line_of(error.__cause__ or error)})"
            raise CheckpointError(f"{self.where}: '{name}' cannot be fetched from the hub, {reason}") from error
        _remember(self.repo, self.revision, self.commit)
        return path


class _HubRanges:
    """Parts of a hub's files, one request each; the hub's own file system asks for megabytes ahead."""

    def __init__(self, where: str) -> None:
        self.where = where

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]

        response = get_session().get(path, headers={**build_hf_headers(), "Range": f"bytes={start}-{end - 1}"}, timeout=20)
        try:
            hf_raise_for_status(response)
        except Exception as error:
            if reason := _reason(error):
                raise CheckpointError(f"{self.where}: cannot be read from the hub, {reason}") from error
            raise
        return bytes(response.content)


class HubSource(ByteSource):
    """A file of a repository: `read` asks for a range, `read_into` fetches the whole file into the cache first."""

    def __init__(self, ranged: ByteSource, download: Callable[[], str]) -> None:
        self.name, self.where, self.size = ranged.name, ranged.where, ranged.size
        self._ranged, self._download = ranged, download
        self._lock = threading.Lock()
        self._local: LocalSource | None = None

    def fetched(self) -> LocalSource:
        """The file in the cache."""
        with self._lock:
            if self._local is None:
                local = LocalSource(self._download(), self.name, self.where)
                if local.size != self.size:
                    raise CheckpointError(f"{self.where}: has {local.size} bytes in the hub's cache, expected {self.size}; delete it there")
                self._local = local
            return self._local

    def read_into(self, offset: int, out: Bytes) -> None:
        self.fetched().read_into(offset, out)

    def read(self, offset: int, length: int) -> bytes:
        return (self._local or self._ranged).read(offset, length)

    def close(self) -> None:
        if self._local is not None:
            self._local.close()


def _reason(error: BaseException | None) -> str | None:
    """What the hub answered, None where it did not answer."""
    words = {
        "GatedRepoError": "which asks to accept terms; accept them on its page and log in",
        "RepositoryNotFoundError": "which has no such repository, or a private one; check the name and log in",
        "RevisionNotFoundError": "which has no such revision; check it on the repository's page",
        "HFValidationError": "which does not take this name",
        "DisabledRepoError": "which has disabled the repository",
    }
    return next((words[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in words), None)


def _nowhere(where: str, repo: str, tried: Sequence[str], reason: str) -> str:
    looked = f"there is no folder {' nor '.join(tried)}" if tried else "it was looked for"
    return f"{where}: {looked}, and '{repo}' cannot be had from the hub, {reason}"
