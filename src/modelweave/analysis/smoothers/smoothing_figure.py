"""A picture of how much an ensemble averages: p0 as members are added, and as queries move away from the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...drawing import new_figure, save_figure
from ...errors import CompatibilityError
from ...extras import extra


def draw_smoothing(
    curves: Mapping[str, Sequence[float]], path: str | Path, *, offsets: Mapping[float, float] | None = None, count: int | None = None
) -> None:
    """Write the picture of p0 as members are added, and as queries move away. Needs matplotlib.

    Args:
        curves: by name, p0 of the first 1, 2, ... members, as `effective_curve` gives it.
        path: its ending says which kind.
        offsets: p0 by how far the queries are moved; drawn where given.
        count: training rows, the p0 of a model that repeats single labels.

    Raises:
        CompatibilityError: for no curves.
        OutputError: where the file cannot be written.
    """
    if not curves or not all(len(curve) for curve in curves.values()):
        raise CompatibilityError("curves: at least one curve with one value is needed")
    figure = new_figure(10 if offsets else 5.5, 4)
    formatter = extra("matplotlib.ticker", "plot").LogFormatter
    panels = list(figure.subplots(1, 2 if offsets else 1, squeeze=False)[0])
    for name, curve in curves.items():
        panels[0].plot(range(1, len(curve) + 1), curve, ".-", label=name)
    panels[0].set_xscale("log")
    panels[0].xaxis.set_major_formatter(formatter())
    panels[0].set_xlabel("members")
    panels[0].set_title("effective parameters, by size of the ensemble", fontsize=10)
    if offsets:
        panels[1].plot(list(offsets), list(offsets.values()), "o-", color="C3", label="all members")
        panels[1].set_xlabel("how far queries are moved from training rows")
        panels[1].set_title("effective parameters, away from the training rows", fontsize=10)
    for axes in panels:
        if count is not None:
            axes.axhline(count, color="0.6", linewidth=1, linestyle="--", label=f"n = {count}: no averaging")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(formatter())
        axes.yaxis.set_minor_formatter(formatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
        axes.set_ylabel("p0")
        axes.legend(fontsize=8)
    save_figure(figure, path)
