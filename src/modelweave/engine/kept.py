"""What a run leaves beside its tensors: the one channel of all methods that keep something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..checkpoints.tensors import SideSink


@dataclass
class Kept:
    """Filled while a run goes on.

    sink: where tensors beside the result go; None for a run whose caller wants none. records: by method, for the manifest and for a
    later merge. warnings: sentences for the user.
    """

    sink: SideSink | None = None
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
