"""Strategies mixed so that one keeps up with the best constant mixture of them in hindsight, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lgamma, log
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError, unknown
from .simplex_points import simplex_points

Floats = NDArray[np.float64]
Accelerate = Literal["power", "leader", "window"]
POLICIES = ("power", "leader", "window")


class UniversalMixture:
    """The mixture one period at a time: read `weights`, act, then `update` with what each component grew by.

    weights of the next period = sum_i mu_i lambda_i S(lambda_i) / sum_i mu_i S(lambda_i), S the wealth of a constant mixture so far;
    the sum stands for the integral over the simplex. An update costs points * components.

    accelerate, experimental and without any guarantee: `power` weighs by S^eta, `leader` takes the best point, `window` looks at the last
    `window` periods only.

    >>> mixture = UniversalMixture(2)
    >>> for factors in ((1, 2), (1, 0.5)):
    ...     print(mixture.weights.round(4), round(mixture.update(factors), 4))
    [0.5 0.5] 1.5
    [0.4444 0.5556] 0.7222
    """

    def __init__(
        self,
        components: int,
        *,
        prior: float = 1.0,
        points: int | None = None,
        accelerate: Accelerate | None = None,
        eta: float = 2.0,
        window: int = 250,
        seed: int = 0,
    ) -> None:
        if accelerate is not None and accelerate not in POLICIES:
            raise ParameterError("accelerate: " + unknown("policy", str(accelerate), POLICIES))
        if not eta > 0 or window < 1:
            raise ParameterError(f"universal mixture: expected eta above 0 and window of at least 1, got {eta} and {window}")
        self.settings: dict[str, Any] = {"components": components, "prior": prior, "points": points, "accelerate": accelerate}
        self.settings |= {"eta": eta, "window": window, "seed": seed}
        self.points, self.shares = simplex_points(components, points=points, prior=prior, seed=seed)
        self.log_wealth = np.zeros(len(self.points))
        self._recent: list[Floats] = []
        self.periods = 0

    @property
    def weights(self) -> Floats:
        """(components,), decided before the next factors are seen."""
        policy = self.settings["accelerate"]
        if policy == "leader" and self.periods:
            return np.array(self.points[int(np.argmax(self.log_wealth))])
        power = self.log_wealth * (self.settings["eta"] if policy == "power" else 1.0)
        share = self.shares * np.exp(power - power.max())
        return np.asarray(share @ self.points / share.sum())

    def update(self, factors: ArrayLike) -> float:
        """Take what each component grew by, (components,) above 0; returns what the mixture grew by."""
        grown = np.asarray(factors, np.float64)
        if grown.shape != (self.points.shape[1],) or not (np.isfinite(grown).all() and (grown > 0).all()):
            raise CompatibilityError(f"universal mixture: expected {self.points.shape[1]} finite factors above 0, got {factors!r:.80}")
        own = float(self.weights @ grown)
        gain = np.log(self.points @ grown)
        if self.settings["accelerate"] == "window":
            self._recent = [*self._recent, gain][-self.settings["window"] :]
            self.log_wealth = np.sum(self._recent, axis=0)
        else:
            self.log_wealth = self.log_wealth + gain
        self.periods += 1
        return own

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {"settings": self.settings, "periods": self.periods, "log_wealth": self.log_wealth, "recent": list(self._recent)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> UniversalMixture:
        """What `state` gave, to the bit."""
        settings = dict(state["settings"])
        mixture = cls(settings.pop("components"), **settings)
        mixture.log_wealth = np.array(state["log_wealth"], np.float64)
        mixture._recent = [np.array(gain, np.float64) for gain in state["recent"]]
        mixture.periods = int(state["periods"])
        return mixture


@dataclass(frozen=True)
class MixtureResult:
    """weights: (periods + 1, components), row t decided before period t; the last is for the period to come. wealth: (periods + 1,), 1 at
    first. regret: log-wealth of the best constant mixture in hindsight less the ensemble's. bound: what regret cannot exceed, up to the
    error of the points and costs; with groups it holds against components and mixtures inside one group; None where nothing is promised.
    """

    weights: Floats
    log_wealth: Floats
    component_log_wealth: Floats
    best_component: int
    best_mixture: Floats
    best_mixture_log_wealth: float
    bound: float | None
    turnover: Floats

    @property
    def wealth(self) -> Floats:
        """(periods + 1,)."""
        return np.asarray(np.exp(self.log_wealth))

    @property
    def regret(self) -> float:
        """Against the best constant mixture, in log-wealth."""
        return self.best_mixture_log_wealth - float(self.log_wealth[-1])

    @property
    def lead(self) -> float:
        """Over the best component, in log-wealth."""
        return float(self.log_wealth[-1] - self.component_log_wealth[-1, self.best_component])


def universal_mixture(
    returns: ArrayLike,
    *,
    prior: float = 1.0,
    points: int | None = None,
    groups: int | Sequence[Sequence[int]] | None = None,
    accelerate: Accelerate | None = None,
    eta: float = 2.0,
    window: int = 250,
    cost: float = 0.0,
    seed: int = 0,
) -> MixtureResult:
    """Run a universal mixture over growth factors and compare it with what hindsight would have done.

    wealth after n periods = mean over mixtures of their wealth, exactly; so log S(best mixture) - log S <= log C(n + k - 1, k - 1) for the
    uniform prior. That is at most (k - 1) log(n + 1): per period it vanishes.

    returns: (periods, components) growth factors above 0: 1.01 for a gain of one percent, or, of forecasters, the probability that each
    gave to what occurred (`forecaster_returns`). NaN before a component's first factor counts as 1, cash.
    prior: of the Dirichlet distribution over mixtures. groups: split many components and mix inside groups, then across: a number of
    groups, or lists of components. accelerate: see `UniversalMixture`. cost: share of the turnover that is paid when rebalancing.

    Raises CompatibilityError for factors that are not above 0, ParameterError for options.
    Source: Lam 2024, arXiv 2406.03652; Cover 1991, section 2. The paper's accelerated strategy is not defined here; these are others.

    >>> found = universal_mixture([[1, 2], [1, 0.5]])
    >>> found.wealth.round(6).tolist(), round(found.bound, 4)
    ([1.0, 1.5, 1.083333], 1.0986)
    """
    grown = _factors(returns)
    periods, components = grown.shape
    if not 0 <= cost < 1:
        raise ParameterError(f"universal mixture: cost must be at least 0 and below 1, got {cost}")
    parts = _groups(groups, components)
    options: dict[str, Any] = {"prior": prior, "points": points, "accelerate": accelerate, "eta": eta, "window": window, "seed": seed}
    inner = [UniversalMixture(len(part), **options) for part in parts]
    outer = UniversalMixture(len(parts), **options)
    weights = np.empty((periods + 1, components))
    for t in range(periods + 1):
        above = outer.weights
        for share, part, mixture in zip(above, parts, inner, strict=True):
            weights[t, part] = share * mixture.weights
        if t < periods:
            outer.update([mixture.update(grown[t, part]) for part, mixture in zip(parts, inner, strict=True)])
    realised = np.einsum("tk,tk->t", weights[:-1], grown)
    drifted = weights[:-1] * grown / realised[:, None]
    turnover = np.abs(weights[1:] - drifted).sum(axis=1)
    each = np.vstack([np.zeros(components), np.cumsum(np.log(grown), axis=0)])
    best = best_mixture(grown)
    return MixtureResult(
        weights,
        np.r_[0.0, np.cumsum(np.log(realised) + np.log1p(-cost * turnover))],
        each,
        int(np.argmax(each[-1])),
        best,
        float(np.log(grown @ best).sum()),
        None if accelerate is not None or prior != 1 or cost else _bound(periods, parts),
        turnover,
    )


def best_mixture(returns: ArrayLike) -> Floats:
    """(components,): the constant mixture with the most wealth in hindsight, by convex optimisation."""
    from ..predictions.learners.simplex import least_log_loss

    grown = _factors(returns)
    # only ratios within a period matter; a common scale keeps the optimiser's numbers near 1
    return np.asarray(least_log_loss((grown / grown.max(axis=1, keepdims=True)).T))


def forecaster_returns(members: Mapping[str, ArrayLike], y: ArrayLike) -> Floats:
    """(rows, members): the probability that each forecaster gave to what occurred, a growth factor under log loss.

    members: name to (rows,) probabilities of class 1 or (rows, classes). y: (rows,) class numbers. Probability 0 counts as 1e-15.

    >>> forecaster_returns({"a": [0.2, 0.8]}, [1, 0]).round(2).tolist()
    [[0.2], [0.2]]
    """
    from ..predictions.metrics import TINY, true_class

    codes = np.asarray(y, np.intp)
    given = [np.asarray(values, np.float64) for values in members.values()]
    for name, values in zip(members, given, strict=True):
        if len(values) != len(codes):
            raise CompatibilityError(f"member '{name}': has {len(values)} rows, expected {len(codes)}")
    return np.asarray(np.maximum(np.column_stack([true_class(codes, values) for values in given]), TINY))


def _factors(returns: ArrayLike) -> Floats:
    grown = np.array(returns, np.float64)
    if grown.ndim != 2 or not grown.size:
        raise CompatibilityError(f"returns: expected (periods, components) growth factors, got shape {grown.shape}")
    late = np.logical_and.accumulate(np.isnan(grown), axis=0)
    grown[late] = 1.0
    bad = np.argwhere(~(np.isfinite(grown) & (grown > 0)))
    if len(bad):
        t, j = bad[0]
        raise CompatibilityError(
            f"returns: period {t} of component {j} is {grown[t, j]:g}; expected growth factors above 0, as 1.01 for one percent"
        )
    return grown


def _groups(groups: int | Sequence[Sequence[int]] | None, components: int) -> list[list[int]]:
    if groups is None:
        return [list(range(components))]
    if isinstance(groups, (int, np.integer)):
        if not 1 <= groups <= components:
            raise ParameterError(f"groups: expected a number from 1 to {components}, got {groups}")
        return [part.tolist() for part in np.array_split(np.arange(components), int(groups))]
    parts = [list(map(int, part)) for part in groups]
    if sorted(j for part in parts for j in part) != list(range(components)) or not all(parts):
        raise ParameterError(f"groups: expected lists that hold each of 0 to {components - 1} once, got {parts!r:.80}")
    return parts


def _bound(periods: int, parts: list[list[int]]) -> float:
    def one(count: int) -> float:
        return lgamma(periods + count) - lgamma(count) - lgamma(periods + 1)

    if len(parts) == 1:
        return one(len(parts[0]))
    return max(len(part) - 1 for part in parts) * log(periods + 1) + (len(parts) - 1) * log(periods + 1)
