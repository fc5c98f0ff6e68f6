"""Sums of logarithms over many rows, for many members at once: compiled where there is a compiler, in NumPy elsewhere."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BLOCK = 2048
"""Rows in work at a time: what stays in the cache."""


def log_sums(truth: Array, total: Array, least: float) -> Array:
    """(members,): sums over rows of log(max(truth[j] + total, least)). truth: (members, rows); total: (rows,) float64; least: above 1e-18.

    >>> log_sums(np.array([[0.5, 0.5], [1.0, 0.0]]), np.zeros(2), 1e-15).round(3).tolist()
    [-1.386, -34.539]
    """
    library = _library()
    if library is None or truth.dtype not in (np.float32, np.float64) or truth.strides[1] != truth.itemsize:
        return log_sums_numpy(truth, total, least)
    sums = np.zeros(len(truth))
    function = library.log_sums_f32 if truth.dtype == np.float32 else library.log_sums_f64
    sizes = (ctypes.c_int64(len(truth)), ctypes.c_int64(truth.strides[0] // truth.itemsize))
    function(
        ctypes.c_void_p(truth.ctypes.data),
        *sizes,
        ctypes.c_void_p(total.ctypes.data),
        ctypes.c_int64(truth.shape[1]),
        ctypes.c_double(least),
        ctypes.c_void_p(sums.ctypes.data),
    )
    return sums


def log_sums_numpy(truth: Array, total: Array, least: float) -> Array:
    """The same in NumPy. A sum of logarithms is the logarithm of a product, and sixteen probabilities of 1e-15 multiply to 1e-240."""
    sums = np.zeros(len(truth))
    for at in range(0, truth.shape[1], BLOCK):
        block = np.maximum(truth[:, at : at + BLOCK] + total[at : at + BLOCK], least)
        columns = block.shape[1] & ~15
        sums += np.log(block[:, columns:]).sum(axis=1)
        for _ in range(4):
            columns //= 2
            np.multiply(block[:, :columns], block[:, columns : 2 * columns], out=block[:, :columns])
        sums += np.log(block[:, :columns]).sum(axis=1)
    return sums


@cache
def _library() -> Any:
    built = sorted(Path(__file__).parent.glob("_log_sums.*"))
    built = [file for file in built if file.suffix in (".so", ".pyd", ".dylib")]
    try:
        return ctypes.CDLL(str(built[0])) if built else None
    except OSError:
        return None
