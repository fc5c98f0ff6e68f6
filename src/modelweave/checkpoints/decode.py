"""Bytes of any element type as numbers, in NumPy alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import DTYPES, Bytes

_PLAIN = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.uint8,
}


def decode(data: Bytes, dtype: str) -> NDArray[Any]:
    """The values: float64 for F64, float32 for everything else, exact for every floating type; F64 and F32 may be a view of `data`.

    >>> decode(np.array([0x80, 0x3F, 0x00, 0xC0], np.uint8), "BF16")
    array([ 1., -2.], dtype=float32)
    """
    if dtype == "BF16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dtype in ("F8_E4M3", "F8_E5M2"):
        return _fp8_table(dtype)[data]
    values = data.view(_PLAIN[dtype])
    return values if dtype == "F64" else values.astype(np.float32, copy=False)


def as_torch(data: Bytes, shape: tuple[int, ...], dtype: str) -> Any:
    """The bytes as a PyTorch tensor, which shares them."""
    import torch

    kind = torch_type(dtype)
    if not len(data):
        return torch.empty(shape, dtype=kind)
    return torch.from_numpy(data).view(kind).reshape(shape)


def torch_type(dtype: str) -> Any:
    """PyTorch's dtype of that tag."""
    import torch

    return getattr(torch, DTYPES[dtype].torch)


@cache
def _fp8_table(dtype: str) -> NDArray[np.float32]:
    """The value of each of the 256 bytes. E5M2 is the upper half of a float16; E4M3 has no infinity, and NaN only at the end."""
    codes = np.arange(256)
    if dtype == "F8_E5M2":
        return (codes.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    exponent, fraction = codes >> 3 & 15, codes & 7
    size = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7))
    size[codes & 127 == 127] = np.nan
    return np.where(codes >= 128, -size, size).astype(np.float32)
