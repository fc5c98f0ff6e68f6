"""Pictures of an interference report: cosines of all pairs, and how pairs and merges fare by layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..drawing import new_figure, save_figure
from .interference import WAYS, Interference


def draw_interference(found: Interference, file: str | Path) -> None:
    """Write the picture; the file's ending says which kind. Needs matplotlib."""
    figure = new_figure(15, 4.5)
    pairs, lines, kept = figure.subplots(1, 3)
    n, total = len(found.labels), found.total.sums
    cosines = np.array([[total.cosine(i, j) if total.norms[i] * total.norms[j] else np.nan for j in range(n)] for i in range(n)], float)
    image = pairs.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu")
    for i in range(n):
        for j in range(n):
            pairs.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", fontsize=8)
    names = [label.rstrip("/").rpartition("/")[2][-18:] for label in found.labels]
    pairs.set_xticks(range(n), names, rotation=45, ha="right")
    pairs.set_yticks(range(n), names)
    pairs.set_title("cosine of the task vectors")
    figure.colorbar(image, ax=pairs)
    layers = [g for g in found.by_layer() if g.layer is not None] or list(found.by_layer())
    places = [g.layer if g.layer is not None else 0 for g in layers]
    lines.plot(places, [_number(g.sums.mean_of(g.sums.cosine)) for g in layers], "o-", label="mean cosine")
    lines.plot(places, [_number(g.sums.mean_of(g.sums.conflict)) for g in layers], "s-", label="mean share of sign conflicts")
    lines.set_title("pairs, by layer")
    for way in WAYS:
        kept.plot(places, [_number(g.sums.keeps(way)) for g in layers], "o-", label=way)
    kept.axhline(1, color="0.7", linewidth=1)
    kept.set_title("norm of the merged change / mean norm of the members'")
    for axes in (lines, kept):
        axes.set_xlabel("layer")
        axes.legend(fontsize=8)
    save_figure(figure, file)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
