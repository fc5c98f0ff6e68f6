"""What components grew by, period by period: checked, and made from forecasts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError

Floats = NDArray[np.float64]


def growth_factors(returns: ArrayLike) -> Floats:
    """Growth factors above 0, checked; NaN before a component's first factor becomes 1, cash.

    Args:
        returns: (periods, components).

    Returns:
        (periods, components), a copy.

    Raises:
        CompatibilityError: for another shape, for nothing, and for a factor that is not finite or not above 0.

    >>> growth_factors([[1.1, float("nan")], [0.9, 1.2]]).tolist()
    [[1.1, 1.0], [0.9, 1.2]]
    """
    grown = np.array(returns, np.float64)
    if grown.ndim != 2 or not grown.size:
        raise CompatibilityError(f"returns: expected (periods, components) growth factors, got shape {grown.shape}")
    grown[np.logical_and.accumulate(np.isnan(grown), axis=0)] = 1.0
    bad = np.argwhere(~(np.isfinite(grown) & (grown > 0)))
    if len(bad):
        t, j = bad[0]
        raise CompatibilityError(
            f"returns: period {t} of component {j} is {grown[t, j]:g}; expected growth factors above 0, as 1.01 for one percent"
        )
    return grown


def forecaster_returns(members: Mapping[str, ArrayLike], y: ArrayLike) -> Floats:
    """The probability that each forecaster gave to what occurred, a growth factor under log loss.

    The product over rows is the likelihood of a forecaster, and the log-wealth its log loss with the sign turned.

    Args:
        members: name to (rows,) probabilities of class 1 or (rows, classes). Probability 0 counts as 1e-15.
        y: (rows,) class numbers.

    Returns:
        (rows, members).

    Raises:
        CompatibilityError: for no members, and for a member with another number of rows.

    >>> forecaster_returns({"a": [0.2, 0.8]}, [1, 0]).round(2).tolist()
    [[0.2], [0.2]]
    """
    from ..predictions.metrics import TINY, true_class

    codes = np.asarray(y, np.intp)
    given = [np.asarray(values, np.float64) for values in members.values()]
    if not given:
        raise CompatibilityError("members: at least one forecaster is needed, got none")
    for name, values in zip(members, given, strict=True):
        if len(values) != len(codes):
            raise CompatibilityError(f"member '{name}': has {len(values)} rows, expected {len(codes)}")
    return np.asarray(np.maximum(np.column_stack([true_class(codes, values) for values in given]), TINY))
