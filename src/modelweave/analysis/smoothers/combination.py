"""A weighted combination of smoothers is a smoother: S = sum_j a_j S_j."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ParameterError


@dataclass(frozen=True)
class Combination:
    """Fitted models and their weights, as chosen by a mean, by greedy selection or by stacking.

    p0 of the combination is at most the weighted mean of the members' where weights are >= 0 and add up to 1, since |s|^2 is convex.

    Attributes:
        members: models, functions or arrays that `effective_parameters` takes.
        weights: one a member, equal by default.

    Raises:
        ParameterError: for no members, another number of weights, or weights that are not finite.

    >>> mix = Combination([np.eye(2), np.full((2, 2), 0.5)], [0.5, 0.5])
    >>> mix.shares
    (0.5, 0.5)
    """

    members: Sequence[Any]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if len(self.members) == 0:
            raise ParameterError("members of a combination: at least one is needed, none was given")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ParameterError(f"weights of a combination: {len(self.members)} expected, one a member, got {len(self.weights)}")
        if not np.isfinite(self.shares).all():
            raise ParameterError("weights of a combination must be finite numbers")

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights as they are used."""
        count = len(self.members)
        return tuple([1 / count] * count if self.weights is None else [float(weight) for weight in self.weights])

    def predict(self, X: Any) -> Any:
        """The weighted sum of the members' predictions."""
        return sum(share * np.asarray(member.predict(X)) for member, share in zip(self.members, self.shares, strict=True))
