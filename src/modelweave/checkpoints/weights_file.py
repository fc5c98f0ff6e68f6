"""What one file of weights holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import CheckpointError
from .source import ByteSource
from .tensors import TensorRef

SAFETENSORS = (".safetensors",)
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class WeightsFile:
    """tensors: by name. ignored: entries that are no tensors, with the reason. metadata: the header's free text."""

    source: ByteSource
    tensors: Mapping[str, TensorRef]
    header_sha256: str
    ignored: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_weights(source: ByteSource) -> WeightsFile:
    """The tensors of one file, from its header alone; the ending of the name says which format it has."""
    if source.name.endswith(SAFETENSORS):
        from .safetensors_file import read_safetensors

        return read_safetensors(source)
    if source.name.endswith(PICKLES):
        from .pickle_file import read_pickle_file

        return read_pickle_file(source)
    endings = ", ".join(SAFETENSORS + PICKLES)
    raise CheckpointError(f"{source.where}: is no file of weights, expected a name that ends with one of {endings}")
