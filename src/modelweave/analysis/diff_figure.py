"""The heat map of a comparison: layers across, kinds of modules down, one panel a quantity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..drawing import new_figure, save_figure
from .diff import Comparison, Sums, row_dict
from .walk import Group

PLAIN = (("relative", "norm(B - A) / norm(A)"),)
LONG = 32
"""Letters of a model's name in the title."""
TASKS = (("cosine", "cosine of the task vectors"), ("conflicts", "share of sign conflicts"))


def grid(comparison: Comparison, key: str) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """(kinds, columns, values): a column a layer, and one in front for what stands outside; NaN where there is nothing.

    key: a number of `row_dict`.
    """
    kinds = list(dict.fromkeys(row.kind for row in comparison.groups))
    layers: list[int | None] = sorted({row.layer for row in comparison.groups if row.layer is not None})  # type: ignore[assignment]
    if any(row.layer is None for row in comparison.groups):
        layers = [None, *layers]
    values = np.full((len(kinds), len(layers)), np.nan)
    for row in comparison.groups:
        values[kinds.index(row.kind), layers.index(row.layer)] = _number(row, key, comparison.with_base)
    return kinds, ["-" if layer is None else str(layer) for layer in layers], values


def draw_diff(comparison: Comparison, file: str | Path, labels: Sequence[str] = ()) -> None:
    """Write the heat map of a comparison as an image. Needs matplotlib.

    Args:
        comparison: as `compare` gives it.
        file: its ending says which kind.
        labels: of A and B, for the title.

    Raises:
        OutputError: where the file cannot be written.
    """
    panels = PLAIN + (TASKS if comparison.with_base else ())
    kinds, columns, _ = grid(comparison, "relative")
    figure = new_figure(3 + max(4, 0.22 * len(columns)) * len(panels), (2 if labels else 1.6) + 0.3 * len(kinds))
    if labels:
        figure.suptitle(", ".join(f"{letter} = {name}" for letter, name in zip("AB", short_names(labels, LONG), strict=True)), fontsize=10)
    for axes, (key, title) in zip(np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels, strict=True):
        _panel(figure, axes, *grid(comparison, key), key=key, title=title)
    save_figure(figure, file)


def short_names(labels: Sequence[str], longest: int) -> list[str]:
    """The last parts of paths, or the whole paths where those are the same; what is too long is cut from the left.

    >>> short_names(["runs/math", "runs/a-long-name/"], 8), short_names(["a/last", "b/last"], 8)
    (['math', '…ng-name'], ['a/last', 'b/last'])
    """
    ends = [label.rstrip("/").rpartition("/")[2] for label in labels]
    names = ends if len(set(ends)) == len(set(labels)) and all(ends) else list(labels)
    return [literal(name if len(name) <= longest else "…" + name[1 - longest :]) for name in names]


def literal(text: str) -> str:
    """The text as a figure shows it unread: no formulas, no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).replace("$", r"\$")


def _panel(figure: Any, axes: Any, kinds: list[str], columns: list[str], values: NDArray[np.float64], *, key: str, title: str) -> None:
    limits: dict[str, Any] = {"cosine": {"vmin": -1, "vmax": 1, "cmap": "RdBu"}, "conflicts": {"vmin": 0, "vmax": 1, "cmap": "magma"}}.get(
        key, {"vmin": 0, "cmap": "viridis"}
    )
    if key == "relative" and not np.nanmax(values, initial=0) > 0:
        limits = {**limits, "vmax": 1}
    image = axes.imshow(np.ma.masked_invalid(values), aspect="auto", interpolation="nearest", **limits)
    axes.set_facecolor("0.92")
    axes.set_title(title)
    axes.set_yticks(range(len(kinds)), [literal(kind) for kind in kinds])
    step = max(1, math.ceil(len(columns) / 16))
    axes.set_xticks(range(0, len(columns), step), columns[::step])
    axes.set_xlabel("layer (-: outside the layers)" if "-" in columns else "layer")
    figure.colorbar(image, ax=axes)


def _number(row: Group[Sums], key: str, with_base: bool) -> float:
    value = row_dict(row, with_base).get(key)
    return math.nan if value is None or not math.isfinite(value) else float(value)
