"""A result as a picture: a panel a column, a bar a condition."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ...drawing import new_figure, save_figure
from .experiment import Result
from .table import by_condition


def draw_result(result: Result, path: Path) -> None:
    """A panel a column with its own axis, a bar for each condition that has it: the mean over seeds, with each seed as a dot."""
    tables = [(column, values) for column in result.columns if (values := by_condition(result.rows, column))]
    across = min(2, len(tables))
    most = [max(len(values) for _, values in tables[at : at + across]) for at in range(0, len(tables), across)]
    drawing = new_figure(6.5 * across, 0.7 + sum(0.2 * bars + 0.6 for bars in most))
    panels = drawing.subplots(len(most), across, squeeze=False, height_ratios=[bars + 3 for bars in most])
    for place, axes in enumerate(panels.flat):
        if place < len(tables):
            _draw_column(axes, *tables[place], bars=most[place // across])
        else:
            axes.set_axis_off()
    drawing.suptitle(textwrap.fill(f"{result.paper} {result.title}", 70 * across), fontsize=10)
    save_figure(drawing, path, dpi=120)


def _draw_column(axes: Any, column: str, values: Mapping[str, Sequence[float]], *, bars: int) -> None:
    """bars: how many the panel has room for, so that those of neighbours are as thick."""
    axes.barh(range(len(values)), [fmean(found) for found in values.values()], color="tab:blue", alpha=0.7)
    for place, found in enumerate(values.values()):
        axes.plot(found, [place] * len(found), ".", color="black", markersize=4)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.set_ylim(bars - 0.4, -0.6)
    axes.axvline(0, color="0.7", linewidth=1)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(column, fontsize=9)
