"""MagMax: at each entry the largest change."""

from __future__ import annotations

from typing import Any

from ..formula import where
from ..part import Context, formula


@formula()
def magmax(deltas: Any, context: Context) -> Any:
    """d_j of the j with the largest abs(d_j), entry by entry; of equally large ones the last.

    deltas: (members, ...). Source: Marczak et al. 2024, arXiv 2407.06322; equal magnitudes as in the authors' code (merge_max_abs).

    >>> import torch
    >>> magmax(torch.tensor([[1.0, 2.0], [-3.0, -2.0]]), Context("w", (2,)))
    tensor([-3., -2.])
    """
    found = deltas[0]
    for delta in deltas[1:]:
        found = where(abs(delta) >= abs(found), delta, found)
    return found
