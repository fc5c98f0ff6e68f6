"""Every published method of the weights family, one row each."""

from __future__ import annotations

from ..method import Method
from . import masked, mergekit, placed, spectral

ROWS: tuple[Method, ...] = (*mergekit.ROWS, *masked.ROWS, *spectral.ROWS, *placed.ROWS)
