"""Sums that come out the same however their terms are cut into chunks: each limb of a sum stays a whole number that a double holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formula import floor

_BASE = float(1 << 20)
_UNITS = np.array([1.0, 1 / _BASE, 1 / _BASE**2])


def limbs(value: Any) -> list[Any]:
    """A value from 0 on as ones, 2^-20 and 2^-40; what is smaller is cut off. Sums of each add up exactly.

    >>> import torch
    >>> [part.tolist() for part in limbs(torch.tensor([1.5, 2.25], dtype=torch.float64))]
    [[1.0, 2.0], [524288.0, 262144.0], [0.0, 0.0]]
    """
    ones = floor(value)
    rest = (value - ones) * _BASE
    middle = floor(rest)
    return [ones, middle, floor((rest - middle) * _BASE)]


def value_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What limbs (..., 3) stand for, (...).

    >>> value_of(np.array([[3.0, 786432.0, 0.0]])).tolist()
    [3.75]
    """
    found: NDArray[np.float64] = sums @ _UNITS
    return found
