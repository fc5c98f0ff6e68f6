"""A made regression: five features, of which each adds its own share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mars(X: Floats) -> Floats:
    """MARSadd without noise: 0.1 e^(4 x1) + 4 / (1 + e^(-20 (x2 - 0.5))) + 3 x3 + 2 x4 + x5."""
    return np.asarray(0.1 * np.exp(4 * X[:, 0]) + 4 / (1 + np.exp(-20 * (X[:, 1] - 0.5))) + X[:, 2:5] @ np.array([3.0, 2.0, 1.0]))
