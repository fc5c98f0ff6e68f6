"""The demo's figure: every model's accuracy on every task, and its mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...drawing import new_figure, save_figure
from ...extras import extra
from .score import ScoreRow

COLOURS = {"base": "0.55", "specialist": "tab:orange", "ensemble": "tab:green", "merge": "tab:blue"}
MARKERS = "^>v<"


def require_matplotlib() -> None:
    """Raise MissingExtraError when no figure can be drawn: better before the training than after it."""
    extra("matplotlib", "plot")


def plot_scores(rows: Sequence[ScoreRow], tasks: Sequence[str], *, best_single: str, file: Path) -> None:
    """One line a model: small marks for the tasks, a disc for the mean.

    The dashed line is the mean of the best single model.
    """
    figure = new_figure(8, 0.34 * len(rows) + 1.4)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        colour = COLOURS[row.group]
        shares = [100 * share for share in row.accuracy]
        axes.plot([min(shares), max(shares)], [place, place], color=colour, alpha=0.3, linewidth=5, zorder=1)
        for task, share in enumerate(shares):
            label = tasks[task] if place == 0 else None
            marker = MARKERS[task % len(MARKERS)]
            axes.plot(share, place, marker, color=colour, markerfacecolor="white", markersize=6, label=label, zorder=2)
        mean = 100 * row.mean
        axes.plot(mean, place, "o", color=colour, markersize=8, label="mean" if place == 0 else None, zorder=3)
    best = next(100 * row.mean for row in rows if row.name == best_single)
    axes.axvline(best, color="0.4", linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"accuracy, % (dashed: mean of the best single model, {best_single})")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(tasks) + 1, frameon=False)
    save_figure(figure, file)
