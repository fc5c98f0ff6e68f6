"""A folder of files, wherever it stands, and which of them are not weights."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from .source import ByteSource, LocalSource

SIDE_FILE_LIMIT = 256 << 20
"""Side files above this size in bytes are neither listed nor read."""
SUBFOLDERS = ("chat_templates", "additional_chat_templates")
"""The folders whose plain files count as side files too."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "tiktoken.model",
)
"""The files in which tokenizers stand, by the libraries that read them."""
WEIGHTS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
)
"""The names that transformers and diffusers write, the first found wins."""
_BLOB_LENGTH = 64
_NOT_SIDE = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack", ".onnx", ".onnx_data", ".gguf", ".ggml", ".npz"),
    *(".npy", ".ot", ".tflite", ".mlmodel", ".index.json", ".lock", ".tmp", ".incomplete", ".zip", ".tar", ".gz"),
)


class Place(ABC):
    """A folder of files.

    where: for messages. folder: on this machine's disk, else None. lists_all: whether `sizes` knows every file, or only those that
    were asked for. warnings: what the user should know of it.
    """

    where: str
    folder: Path | None = None
    lists_all: bool = True
    warnings: tuple[str, ...] = ()

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Plain files in the folder and the few subfolders that count, as `name` or `subfolder/name`, with their sizes."""

    @abstractmethod
    def open(self, name: str) -> ByteSource:
        """One file. Raises CheckpointError where it is missing."""

    @abstractmethod
    def origin(self) -> dict[str, Any]:
        """Where this is, for the manifest, without a path of this machine."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """A text that changes when the file does."""

    def sha256(self, name: str) -> str | None:
        """The hash of a file where it is known without reading the file."""
        return None

    def read(self, name: str, limit: int = SIDE_FILE_LIMIT) -> bytes:
        """A whole small file."""
        source = self.open(name)
        if source.size > limit:
            raise CheckpointError(f"{self.where}: '{name}' has {source.size} bytes, expected at most {limit}; remove or replace it")
        try:
            return source.read(0, source.size)
        finally:
            source.close()


class LocalPlace(Place):
    """A folder on this machine's disk."""

    def __init__(self, folder: str | os.PathLike[str], where: str) -> None:
        self.folder, self.where = Path(folder), where
        self._sizes: dict[str, int] | None = None

    def sizes(self) -> Mapping[str, int]:
        if self._sizes is None:
            self._sizes = dict(self._found(""))
            for subfolder in SUBFOLDERS:
                if (self._root / subfolder).is_dir():
                    self._sizes.update(self._found(subfolder))
        return self._sizes

    @property
    def _root(self) -> Path:
        assert self.folder is not None
        return self.folder

    def _found(self, subfolder: str) -> Iterable[tuple[str, int]]:
        try:
            with os.scandir(self._root / subfolder) as entries:
                files = [(entry.name, entry.stat().st_size) for entry in entries if entry.is_file()]
        except OSError as error:
            raise CheckpointError(f"{self.where}: the folder cannot be read ({error.strerror})") from error
        return sorted((f"{subfolder}/{name}" if subfolder else name, size) for name, size in files)

    def open(self, name: str) -> LocalSource:
        return LocalSource(self._root / name, name, f"{self.where}: '{name}'")

    def origin(self) -> dict[str, Any]:
        folder = Path(os.path.abspath(self._root))
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
            return {"repo": folder.parent.parent.name[len("models--") :].replace("--", "/"), "revision": folder.name}
        return {"path": folder.name}

    def stamp(self, name: str) -> str:
        try:
            found = os.stat(self._root / name)
        except OSError as error:
            raise CheckpointError(f"{self.where}: '{name}' cannot be read ({error.strerror}); check the folder") from error
        revision = self.origin().get("revision")
        return f"{revision} {found.st_size}" if revision else f"{found.st_size} {found.st_mtime_ns}"

    def sha256(self, name: str) -> str | None:
        # the hub's cache names large files by their hash
        blob = Path(os.path.realpath(self._root / name))
        hexadecimal = len(blob.name) == _BLOB_LENGTH and set(blob.name) <= set("0123456789abcdef")
        return blob.name if blob.parent.name == "blobs" and hexadecimal else None


def side_names(sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The files beside the weights: config, tokenizer, processor, templates, card, licence.

    >>> side_names({"config.json": 9, "model.safetensors": 99, ".gitattributes": 3})
    ('config.json',)
    """
    return tuple(
        name
        for name, size in sizes.items()
        if size <= SIDE_FILE_LIMIT and not name.rpartition("/")[2].startswith(".") and not name.lower().endswith(_NOT_SIDE)
    )
