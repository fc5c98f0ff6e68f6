"""The formats of weights, by the endings of files' names."""

from __future__ import annotations

from ...errors import CheckpointError
from ..places.source import ByteSource
from .pickle_file import read_pickle_file
from .safetensors_file import read_safetensors
from .weights_file import WeightsFile

SAFETENSORS = (".safetensors",)
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def read_weights(source: ByteSource) -> WeightsFile:
    """The tensors of one file, from its header alone; the ending of the name says which format it has."""
    if source.name.endswith(SAFETENSORS):
        return read_safetensors(source)
    if source.name.endswith(PICKLES):
        return read_pickle_file(source)
    endings = ", ".join(SAFETENSORS + PICKLES)
    raise CheckpointError(f"{source.where}: is no file of weights, expected a name that ends with one of {endings}")
