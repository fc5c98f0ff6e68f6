"""Wealth over time, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing import new_figure, save_figure
from .universal_mixture import MixtureResult


def wealth_figure(result: MixtureResult, names: Sequence[str] | None = None) -> Any:
    """Components thin, the mixture thick; the dashed line ends where the best constant mixture of hindsight does. Below: weights."""
    components = result.component_log_wealth.shape[1]
    names = [f"component {j}" for j in range(components)] if names is None else names
    figure = new_figure(7.2, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    periods = np.arange(len(result.log_wealth))
    for j, name in enumerate(names):
        above.plot(periods, result.component_log_wealth[:, j], linewidth=0.9, color=f"C{j}", label=name)
    above.plot(periods, result.log_wealth, linewidth=2, color="black", label="universal mixture")
    above.axhline(result.best_mixture_log_wealth, color="0.5", linestyle="--", linewidth=1, label="best constant mixture, in hindsight")
    above.set_ylabel("log-wealth")
    above.legend(fontsize=8)
    below.stackplot(periods, result.weights.T, colors=[f"C{j}" for j in range(components)])
    below.set_ylim(0, 1)
    below.set_ylabel("weight")
    below.set_xlabel("period")
    return figure


def draw_wealth(result: MixtureResult, path: str | Path, names: Sequence[str] | None = None) -> None:
    """Write `wealth_figure` as an image."""
    save_figure(wealth_figure(result, names), path)
