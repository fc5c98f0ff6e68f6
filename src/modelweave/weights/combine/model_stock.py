"""Model Stock: how far from the base to the mean, from the angle between the members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..part import Members, coefficients


def _axis(options: Mapping[str, Any]) -> str:
    return "row" if options["filter_wise"] else "tensor"


@coefficients("filter_wise", gram=_axis)
def model_stock(gram: NDArray[np.float64], members: Members, *, filter_wise: bool) -> NDArray[np.float64]:
    """base + t (mean - base), t = n c / (1 + (n - 1) c), c the mean cosine between two deltas.

    gram: (..., n, n) of the deltas, a leading axis for the rows when filter_wise. Returns (..., n), t / n for each member.
    Where 1 + (n - 1) c vanishes the base stays. Source: Jang et al. 2024, section 4, equation 7.

    >>> model_stock(np.eye(2), [{}, {}], filter_wise=False)
    array([0., 0.])
    """
    n = gram.shape[-1]
    norms = np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0))
    products = np.maximum(norms[..., :, None] * norms[..., None, :], 1e-6)
    above = np.triu_indices(n, 1)
    cos = np.clip(gram / products, -1, 1)[..., above[0], above[1]].mean(axis=-1)
    denominator = 1 + (n - 1) * cos
    singular = np.abs(denominator) < 1e-6
    t = np.where(singular, 0.0, n * cos / np.where(singular, 1.0, denominator))
    return np.repeat(np.asarray(t)[..., None] / n, n, axis=-1)
