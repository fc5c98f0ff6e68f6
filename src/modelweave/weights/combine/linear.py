"""Coefficients that need no look at the tensors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError
from ..part import Members, coefficients, column


@coefficients("normalize")
def linear(gram: None, members: Members, *, normalize: bool) -> NDArray[np.float64]:
    """w_i / sum of w when normalized, else w_i. Source: Wortsman et al. 2022, section 2.

    >>> linear(None, [{"weight": 1.0}, {"weight": 3.0}], normalize=True)
    array([0.25, 0.75])
    """
    weights = column(members, "weight")
    return normalised(weights, "linear", "normalize") if normalize else weights


def normalised(weights: NDArray[np.float64], method: str, key: str) -> NDArray[np.float64]:
    """weights / sum of weights. key: the parameter that asks for it. Raises ParameterError where they cancel."""
    total = float(weights.sum())
    if abs(total) <= 1e-8 * float(np.abs(weights).sum()):
        raise ParameterError(f"{method}: the weights sum to {total:g} and cannot be normalized; change them or set {key} to false")
    return np.asarray(weights / total)


@coefficients()
def uniform(gram: None, members: Members) -> NDArray[np.float64]:
    """1/n each. Source: Wortsman et al. 2022, section 2, "uniform soup".

    >>> uniform(None, [{}, {}])
    array([0.5, 0.5])
    """
    return np.full(len(members), 1 / len(members))


@coefficients()
def passthrough(gram: None, members: Members) -> NDArray[np.float64]:
    """The one member, times its `scale` when it has one.

    >>> passthrough(None, [{"scale": None}])
    array([1.])
    """
    scale = members[0].get("scale")
    return np.array([1.0 if scale is None else scale])


@coefficients()
def weighted_mean(gram: None, members: Members) -> NDArray[np.float64]:
    """w_i / n: the mean of the weighted members.

    >>> weighted_mean(None, [{"weight": 1.0}, {"weight": 3.0}])
    array([0.5, 1.5])
    """
    return column(members, "weight") / len(members)
