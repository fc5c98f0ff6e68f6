"""Wealth over time, on a logarithmic scale, and the weights below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing import new_figure, save_figure
from ...errors import CompatibilityError
from .preference import constant_mixture
from .universal_mixture import MixtureResult

NAMED = 10
"""More components than that are drawn in grey, without names."""


def wealth_figure(result: MixtureResult, names: Sequence[str] | None = None) -> Any:
    """Components thin, the mixture thick, the best constant mixture of hindsight dashed. Below: weights."""
    each = result.component_log_wealth
    components = each.shape[1]
    names = [f"component {j}" for j in range(components)] if names is None else names
    if len(names) != components:
        raise CompatibilityError(f"names: expected {components}, one a component, got {len(names)}")
    figure = new_figure(7.2, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    periods = np.arange(len(result.log_wealth))
    few = components <= NAMED
    colours = [f"C{j}" if few else str(0.45 + 0.4 * (j % 2)) for j in range(components)]
    for j, name in enumerate(names):
        label = name if few else (f"{components} components" if j == 0 else None)
        above.plot(periods, each[:, j], linewidth=0.9, color=colours[j], label=label)
    hindsight = constant_mixture(np.exp(np.diff(each, axis=0)), result.best_mixture)
    above.plot(periods, hindsight, "--", linewidth=1.2, color="0.3", label="best constant mixture, in hindsight")
    above.plot(periods, result.log_wealth, linewidth=2, color="black", label="universal mixture")
    above.set_ylabel("log-wealth")
    above.legend(fontsize=8)
    below.stackplot(periods, result.weights.T, colors=colours)
    below.set_ylim(0, 1)
    below.set_ylabel("weight")
    below.set_xlabel("period")
    return figure


def draw_wealth(result: MixtureResult, path: str | Path, names: Sequence[str] | None = None) -> None:
    """Write the picture of wealth over time and the weights below it as an image. Needs matplotlib.

    Args:
        result: as `universal_mixture` gives it.
        path: its ending says which kind.
        names: of the components.

    Raises:
        CompatibilityError: for another number of names.
        OutputError: where the file cannot be written.
    """
    save_figure(wealth_figure(result, names), path)
