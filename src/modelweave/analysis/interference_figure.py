"""Pictures of an interference report: cosines of all pairs, and how pairs and merges fare by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing import new_figure, save_figure
from .diff_figure import short_names
from .interference import WAYS, Interference, Meeting
from .walk import Group

LONG = 18
"""Letters of a member's name on an axis."""
TICKS = 12
"""Numbers on the axis of layers, at most."""
DARK = 0.6
"""The size of a cosine beyond which its square is too dark for black text."""


def draw_interference(found: Interference, file: str | Path) -> None:
    """Write the picture of pairs, of pairs by layer, and of the size that a merge keeps. Needs matplotlib.

    Args:
        found: as `interfere` gives it.
        file: its ending says which kind.

    Raises:
        OutputError: where the file cannot be written.
    """
    figure = new_figure(15, 5)
    pairs, lines, kept = figure.subplots(1, 3)
    _draw_pairs(figure, pairs, found)
    layers = [group for group in found.by_layer() if group.layer is not None] or list(found.by_layer())
    means = {"mean cosine": [_number(g.sums.mean_of(g.sums.cosine)) for g in layers]}
    means["mean share of sign conflicts"] = [_number(g.sums.mean_of(g.sums.conflict)) for g in layers]
    _draw_layers(lines, layers, means)
    lines.set_title("pairs, by layer")
    kept.axhline(1, color="0.7", linewidth=1)
    _draw_layers(kept, layers, {way: [_number(g.sums.keeps(way)) for g in layers] for way in WAYS})
    kept.set_title("size kept by a merge")
    kept.set_ylabel("share of the members' mean norm")
    save_figure(figure, file)


def cosine_text(cosine: float) -> tuple[str, str]:
    """What stands in a square of the heat map, and its colour.

    >>> cosine_text(-0.001), cosine_text(0.75), cosine_text(float("nan"))
    (('0.00', 'black'), ('0.75', 'white'), ('-', 'black'))
    """
    if not np.isfinite(cosine):
        return "-", "black"
    # adding 0 turns -0 into 0
    return f"{round(cosine, 2) + 0.0:.2f}", "white" if abs(cosine) > DARK else "black"


def _draw_pairs(figure: Any, axes: Any, found: Interference) -> None:
    n, total = len(found.labels), found.total.sums
    cosines = np.array([[_number(total.cosine(i, j)) for j in range(n)] for i in range(n)])
    image = axes.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu")
    for (i, j), cosine in np.ndenumerate(cosines):
        text, colour = cosine_text(cosine)
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    names = short_names(found.labels, LONG)
    axes.set_xticks(range(n), names, rotation=45, ha="right")
    axes.set_yticks(range(n), names)
    axes.set_title("cosine of the task vectors")
    figure.colorbar(image, ax=axes)


def _draw_layers(axes: Any, layers: Sequence[Group[Meeting]], curves: dict[str, list[float]]) -> None:
    """A curve a quantity over the layers, or its one value for all that stands outside them."""
    places = [group.layer or 0 for group in layers]
    for mark, (label, values) in zip("osD^v", curves.items(), strict=False):
        axes.plot(places, values, f"{mark}-", markersize=5, label=label)
    if all(group.layer is not None for group in layers):
        axes.set_xticks(places[:: -(-len(places) // TICKS)])
        axes.set_xlabel("layer")
    else:
        axes.set_xticks([0], ["outside the layers"])
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
