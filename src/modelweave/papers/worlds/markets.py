"""Made markets: the growth of three components, period by period."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERIODS = 3000


def reverting(seed: int) -> NDArray[Any]:
    """Three components around one random walk (drift 3e-4, deviation .01), each apart from it by an autoregression (.97, .03)."""
    random = np.random.default_rng(seed)
    common = np.cumsum(3e-4 + 0.01 * random.standard_normal(PERIODS))
    shocks = 0.03 * random.standard_normal((PERIODS, 3))
    spread = np.zeros((PERIODS + 1, 3))
    for t in range(PERIODS):
        spread[t + 1] = 0.97 * spread[t] + shocks[t]
    levels = np.r_[0.0, common][:, None] + spread
    return np.asarray(np.exp(np.diff(levels, axis=0)))


def dominated(seed: int) -> NDArray[Any]:
    """Common shocks and drifts of .002, 0 and -.001: the first is best all along."""
    random = np.random.default_rng([seed, 1])
    shocks = 0.01 * random.standard_normal((PERIODS, 1)) + 0.002 * random.standard_normal((PERIODS, 3))
    return np.asarray(np.exp(np.array([0.002, 0, -0.001]) + shocks))
