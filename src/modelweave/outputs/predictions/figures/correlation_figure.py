"""How alike the members' errors are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....drawing import new_figure
from ..pool import Array

NUMBERED = 14
"""Members up to which the cells hold numbers."""


def correlation_figure(names: Sequence[str], correlation: Array) -> Any:
    """A heat map of the correlation of errors, (members, members)."""
    size = max(4.0, 0.32 * len(names) + 2.2)
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    image = axes.imshow(correlation, vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    if len(names) <= NUMBERED:
        for i, row in enumerate(correlation):
            for j, value in enumerate(row):
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.6 else "black")
    axes.set_title("Correlation of errors")
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure
