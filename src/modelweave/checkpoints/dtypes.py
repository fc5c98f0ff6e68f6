"""Element types, by the tags that safetensors uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError, unknown

Bytes = NDArray[np.uint8]
"""Elements of any type, as they are stored."""


@dataclass(frozen=True)
class DType:
    """tag: as in safetensors; torch: attribute of the torch module; floating: whether it can be averaged."""

    tag: str
    itemsize: int
    torch: str
    floating: bool


_TABLE = (
    DType("F64", 8, "float64", True),
    DType("F32", 4, "float32", True),
    DType("F16", 2, "float16", True),
    DType("BF16", 2, "bfloat16", True),
    DType("F8_E4M3", 1, "float8_e4m3fn", True),
    DType("F8_E5M2", 1, "float8_e5m2", True),
    DType("I64", 8, "int64", False),
    DType("I32", 4, "int32", False),
    DType("I16", 2, "int16", False),
    DType("I8", 1, "int8", False),
    DType("U64", 8, "uint64", False),
    DType("U32", 4, "uint32", False),
    DType("U16", 2, "uint16", False),
    DType("U8", 1, "uint8", False),
    DType("BOOL", 1, "bool", False),
)
DTYPES = {d.tag: d for d in _TABLE}
TAG_OF_TORCH = {d.torch: d.tag for d in _TABLE}


def tag_of_word(word: str, where: str) -> str:
    """The tag for a recipe's word, as in "bfloat16" -> "BF16"; floating types only."""
    floating = [d.torch for d in _TABLE if d.floating]
    if word not in floating:
        raise RecipeError(f"{where}: " + unknown("dtype", str(word), floating))
    return TAG_OF_TORCH[word]
