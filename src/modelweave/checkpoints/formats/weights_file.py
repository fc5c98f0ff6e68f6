"""What one file of weights holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..places.source import ByteSource
from ..tensors import TensorRef


@dataclass(frozen=True)
class WeightsFile:
    """tensors: by name. ignored: entries that are no tensors, with the reason. metadata: the header's free text.

    shared: names whose data are those of another name.
    """

    source: ByteSource
    tensors: Mapping[str, TensorRef]
    header_sha256: str
    ignored: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
