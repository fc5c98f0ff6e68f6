"""The picture of Recall vs Area: one curve a way with its interval, one panel a kind of place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from ...drawing import new_figure, save_figure
from ...errors import CompatibilityError
from .area_result import AreaResult


def draw_recall_vs_area(
    results: Mapping[str, AreaResult],
    path: Path,
    *,
    labels: ArrayLike | None = None,
    budgets: ArrayLike | None = None,
    level: float = 0.95,
) -> None:
    """Write the curves with their bootstrap intervals as an image. Needs matplotlib.

    Args:
        results: by name, over the same queries.
        path: its ending says which kind.
        labels: (queries,) makes a panel for each.
        budgets: km^2, by default the whole axis.
        level: of the intervals, in (0, 1).

    Raises:
        CompatibilityError: for no results, or labels that are not one a query.
        OutputError: where the file cannot be written.
    """
    if not results:
        raise CompatibilityError("draw_recall_vs_area: no results to draw")
    parts = {name: {"all queries": found} if labels is None else found.by(labels) for name, found in results.items()}
    panels = list(next(iter(parts.values())))
    figure = new_figure(1 + 4.5 * len(panels), 4.2)
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        for name, part in parts.items():
            curve = part[panel].curve(budgets, level=level)
            (line,) = axes.plot(curve.budgets, curve.recall, label=name, linewidth=1.5)
            axes.fill_between(curve.budgets, curve.low, curve.high, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="area searched (km²)")
        axes.set_title(f"{panel} ({len(next(iter(parts.values()))[panel].area)} queries)", fontsize=10)
        axes.grid(True, alpha=0.3)
    figure.axes[0].set_ylabel("recall")
    figure.axes[0].legend(fontsize=8, loc="upper left")
    save_figure(figure, path)
