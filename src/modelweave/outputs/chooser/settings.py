"""The settings of a chooser."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("copula", "ind", "diffMF")


@dataclass(frozen=True)
class Settings:
    """background, mode: see `SetFunction` and `SubsetChooser`. samples, rank, tau: of the draws. steps: of the mean field."""

    background: str = "complement"
    mode: str = "copula"
    width: int = 256
    hidden: int = 500
    samples: int = 8
    rank: int = 8
    tau: float = 0.1
    steps: int = 1
    rate: float = 1e-4
    decay: float = 1e-5
    batch: int = 128
    epochs: int = 100
    patience: int = 6
    seed: int = 0
