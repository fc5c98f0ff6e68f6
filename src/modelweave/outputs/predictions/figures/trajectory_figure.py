"""How weights and the score move over the rounds of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....drawing import new_figure
from ..learner import Pick


def trajectory_figure(steps: Sequence[Pick], metric: str) -> Any:
    """Above the score after each round, below each member's weight by then, stacked. For greedy selection: a step is a member taken."""
    figure = new_figure(6.4, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
    rounds = np.arange(1, len(steps) + 1)
    above.plot(rounds, [step.score for step in steps], marker="o", markersize=3)
    above.set_ylabel(metric)
    above.set_title("Rounds of selection")
    names = list(dict.fromkeys(step.member for step in steps))
    taken = np.array([[step.member == name for step in steps] for name in names], dtype=float)
    below.stackplot(rounds, taken.cumsum(axis=1) / rounds, labels=names, step="mid" if len(steps) > 1 else None)
    below.set_ylabel("weight")
    below.set_xlabel("round")
    below.set_ylim(0, 1)
    below.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
