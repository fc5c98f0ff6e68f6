"""A file of tensors beside the weights of a result, filled in any order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ..dtypes import Bytes
from .layout import Spec, shards_of
from .shard_file import open_shard, write_at


class SideTensors:
    """`stem`.safetensors in `folder`, whose specs are known from the start. Use it as a context."""

    def __init__(self, folder: Path, stem: str, specs: Sequence[Spec], metadata: Mapping[str, str]) -> None:
        self._shard = shards_of(specs, 1 << 62, stem, metadata)[0]
        self._path = folder / self._shard.name
        self._descriptor = -1

    def __enter__(self) -> SideTensors:
        self._descriptor = open_shard(self._path, self._shard)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)

    def write(self, name: str, start: int, data: Bytes) -> None:
        """Bytes of a tensor from byte `start` on."""
        write_at(self._descriptor, data.data, self._shard.offsets[name] + start)
