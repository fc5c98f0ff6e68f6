"""Go on in the direction from a weaker model to a stronger one (ExPO)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..part import Members, coefficients


@coefficients("alpha")
def expo(gram: None, members: Members, *, alpha: float) -> NDArray[np.float64]:
    """1 + alpha, so that the result is x_1 + alpha (x_1 - x_0). Source: Zheng et al. 2024 (ExPO), arXiv 2404.16792, equation 1.

    >>> expo(None, [{}], alpha=0.5)
    array([1.5])
    """
    return np.array([1 + alpha])
