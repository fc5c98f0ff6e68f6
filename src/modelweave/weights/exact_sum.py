"""Sums that come out the same however their terms are cut into chunks: each limb of a sum stays a whole number that a double holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_BASE = float(1 << 20)
_UNITS = np.array([1.0, 1 / _BASE, 1 / _BASE**2])


def limbs(values: Tensor) -> NDArray[np.float64]:
    """The sum of values from 0 on, as (3,): of ones, of 2^-20 and of 2^-40; what is smaller is cut off. Limbs of chunks add up.

    >>> import torch
    >>> limbs(torch.tensor([1.5, 2.25], dtype=torch.float64)).tolist()
    [3.0, 786432.0, 0.0]
    """
    ones = values.floor()
    rest = (values - ones) * _BASE
    middle = rest.floor()
    last = ((rest - middle) * _BASE).floor()
    return np.array([part.sum().item() for part in (ones, middle, last)])


def value_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """What limbs (..., 3) stand for, (...).

    >>> value_of(np.array([[3.0, 786432.0, 0.0]])).tolist()
    [3.75]
    """
    found: NDArray[np.float64] = sums @ _UNITS
    return found
