"""Confidence against how often it is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....drawing import new_figure
from ..calibration import reliability
from ..pool import Array


def calibration_figure(predictions: Mapping[str, Array], y: Array) -> Any:
    """A line a predictor, on the diagonal where it means what it says. predictions: name to probabilities; y: class numbers."""
    figure = new_figure(5.2, 4.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    binary = True
    for name, p in predictions.items():
        found = reliability(p, y)
        binary = binary and p.ndim == 1
        axes.plot(found.confidence, found.accuracy, marker="o", markersize=3, label=f"{name} (error {found.error:.3f})")
    axes.set_xlabel("probability of the second class" if binary else "predicted probability of the chosen class")
    axes.set_ylabel("share correct")
    axes.set_title("Calibration")
    axes.legend(fontsize=8)
    return figure
