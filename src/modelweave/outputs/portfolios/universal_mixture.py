"""Universal portfolios: a mixture that keeps up with the best constant mixture in hindsight, for any sequence of returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError, unknown
from ..simplex_points import simplex_points
from .growth_factors import growth_factors
from .hierarchy import Groups, component_groups, grouped_bound

Floats = NDArray[np.float64]
Accelerate = Literal["power", "leader", "window"]
POLICIES = ("power", "leader", "window")


class UniversalMixture:
    """The mixture one period at a time: read `weights`, act, then `update` with what each component grew by.

    weights of the next period = sum_i mu_i lambda_i S(lambda_i) / sum_i mu_i S(lambda_i), S the wealth of a constant mixture so far;
    the sum stands for the integral over the simplex. The state is log S at every point. An update costs points * components.

    Args:
        components: How many there are, at least 1.
        prior: Of the Dirichlet distribution over mixtures, above 0; 1 is uniform.
        points: About how many stand for the simplex; see `simplex_points`.
        accelerate: Experimental, without any guarantee: "power" weighs by S^eta, "leader" takes the best point, "window" looks at the
            last `window` periods only. None: the universal mixture.
        eta: The exponent of "power", above 0.
        window: Periods that "window" looks at, at least 1.
        seed: Of the draws, where points are drawn.

    Raises:
        ParameterError: For options that are unknown or out of range.

    Source: Cover 1991, section 2.

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
        if not 0 < eta < np.inf or window < 1:
            raise ParameterError(f"universal mixture: expected eta above 0 and window of at least 1, got {eta} and {window}")
        self.settings: dict[str, Any] = {"components": components, "prior": prior, "points": points, "accelerate": accelerate}
        self.settings |= {"eta": eta, "window": window, "seed": seed}
        self.points, self.shares = simplex_points(components, points=points, prior=prior, seed=seed)
        self.log_wealth = np.zeros(len(self.points))
        self.periods = 0
        self._recent: deque[Floats] = deque()
        self._weights: Floats | None = None

    @property
    def weights(self) -> Floats:
        """(components,), decided before the next factors are seen."""
        if self._weights is None:
            self._weights = self._decide()
        return self._weights.copy()

    def _decide(self) -> Floats:
        policy = self.settings["accelerate"]
        if policy == "leader" and self.periods:
            return np.asarray(self.points[int(np.argmax(self.log_wealth))])
        power = self.log_wealth * (self.settings["eta"] if policy == "power" else 1.0)
        share = self.shares * np.exp(power - power.max())
        return np.asarray(share @ self.points / share.sum())

    def update(self, factors: ArrayLike) -> float:
        """Take what each component grew by, (components,) above 0; returns what the mixture grew by.

        Raises CompatibilityError for another number of factors, or for one that is not finite or not above 0.
        """
        grown = np.array(factors, np.float64)
        if grown.shape != (self.points.shape[1],) or not (np.isfinite(grown).all() and (grown > 0).all()):
            raise CompatibilityError(f"universal mixture: expected {self.points.shape[1]} finite factors above 0, got {factors!r:.80}")
        own = float(self.weights @ grown)
        self.log_wealth = self.log_wealth + np.log(self.points @ grown)
        if self.settings["accelerate"] == "window":
            self._recent.append(grown)
            if len(self._recent) > self.settings["window"]:
                self.log_wealth -= np.log(self.points @ self._recent.popleft())
        self.periods += 1
        self._weights = None
        return own

    def state(self) -> dict[str, Any]:
        """Plain data to go on from, fit for JSON: the settings, the log-wealth of every point and, for `window`, the last factors."""
        recent = [factors.tolist() for factors in self._recent]
        return {"settings": dict(self.settings), "periods": self.periods, "log_wealth": self.log_wealth.tolist(), "recent": recent}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> UniversalMixture:
        """What `state` gave, to the bit. Raises CompatibilityError for a state that does not fit its own settings."""
        settings = dict(state["settings"])
        mixture = cls(settings.pop("components"), **settings)
        log_wealth = np.array(state["log_wealth"], np.float64)
        if log_wealth.shape != mixture.log_wealth.shape:
            raise CompatibilityError(f"state: expected {len(mixture.log_wealth)} values of log_wealth, got {log_wealth.size}")
        mixture.log_wealth = log_wealth
        mixture._recent = deque(np.array(factors, np.float64) for factors in state["recent"])
        mixture.periods = int(state["periods"])
        return mixture


@dataclass(frozen=True)
class MixtureResult:
    """The mixture over all periods, and the best constant choices in hindsight.

    weights: (periods + 1, components), row t decided before period t; the last is for the period to come.
    log_wealth: (periods + 1,), 0 at first. component_log_wealth: the same, a column a component.
    best_mixture: by convex optimisation, not on the points.
    bound: what regret cannot exceed, up to points_error. With groups it holds against components and mixtures inside one group only.
    None where no bound holds: accelerated, with costs, or a prior below 1/2.
    points_error: log-wealth of best_mixture less that of the best point, how much too coarse the points are. None with groups or a window.
    turnover: (periods,), sum_j |weight of the next period - weight as it drifted|, at most 2.
    """

    weights: Floats
    log_wealth: Floats
    component_log_wealth: Floats
    best_component: int
    best_mixture: Floats
    best_mixture_log_wealth: float
    bound: float | None
    points_error: float | None
    turnover: Floats

    @property
    def wealth(self) -> Floats:
        """(periods + 1,), 1 at first; infinite where float64 ends."""
        with np.errstate(over="ignore"):
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
    groups: Groups = None,
    accelerate: Accelerate | None = None,
    eta: float = 2.0,
    window: int = 250,
    cost: float = 0.0,
    seed: int = 0,
) -> MixtureResult:
    """Run a universal mixture over growth factors and compare it with the best constant mixture in hindsight.

    wealth after n periods = mean over mixtures of their wealth, exactly; so log S(best mixture) - log S <= log C(n + k - 1, k - 1) for the
    uniform prior. That is at most (k - 1) log(n + 1): per period it vanishes.

    Args:
        returns: (periods, components) growth factors above 0: 1.01 for a gain of one percent, or, of forecasters, the probability that
            each gave to what occurred (`forecaster_returns`). NaN before a component's first factor counts as 1, cash.
        prior: Of the Dirichlet distribution over mixtures, above 0; 1 is uniform.
        points: About how many stand for the simplex; see `simplex_points`.
        groups: Split many components and mix inside groups, then across them: a number of groups, lists of components, or "auto"
            (ceil(sqrt(components)) beyond 10).
        accelerate: See `UniversalMixture`, as for eta and window.
        eta: The exponent of "power".
        window: Periods that "window" looks at.
        cost: Share of the turnover that is paid when rebalancing, in [0, 0.5).
        seed: Of the draws, where points are drawn.

    Returns:
        Weights and log-wealth of every period, the best component and constant mixture in hindsight, and the bound on the regret.

    Raises:
        CompatibilityError: For factors that are not above 0.
        ParameterError: For options that are unknown or out of range.

    Source: Lam 2024, arXiv 2406.03652; Cover 1991, section 2. Lam's accelerated strategy is not among those here.

    >>> found = universal_mixture([[1, 2], [1, 0.5]])
    >>> found.wealth.round(6).tolist(), round(found.bound, 4)
    ([1.0, 1.5, 1.083333], 1.0986)
    """
    grown = growth_factors(returns)
    periods, components = grown.shape
    if not 0 <= cost < 0.5:
        raise ParameterError(f"universal mixture: cost must be at least 0 and below 0.5, since turnover can be 2, got {cost}")
    parts = component_groups(groups, components)
    options: dict[str, Any] = {"prior": prior, "points": points, "accelerate": accelerate, "eta": eta, "window": window, "seed": seed}
    inner = [UniversalMixture(len(part), **options) for part in parts]
    outer = UniversalMixture(len(parts), **options)
    weights = np.empty((periods + 1, components))
    for t in range(periods + 1):
        for share, part, mixture in zip(outer.weights, parts, inner, strict=True):
            weights[t, part] = share * mixture.weights
        if t < periods:
            outer.update([mixture.update(grown[t, part]) for part, mixture in zip(parts, inner, strict=True)])
    realised = np.einsum("tk,tk->t", weights[:-1], grown)
    turnover = np.abs(weights[1:] - weights[:-1] * grown / realised[:, None]).sum(axis=1)
    each = np.vstack([np.zeros(components), np.cumsum(np.log(grown), axis=0)])
    best = best_mixture(grown)
    reached = float(np.log(grown @ best).sum())
    return MixtureResult(
        weights=weights,
        log_wealth=np.r_[0.0, np.cumsum(np.log(realised) + np.log1p(-cost * turnover))],
        component_log_wealth=each,
        best_component=int(np.argmax(each[-1])),
        best_mixture=best,
        best_mixture_log_wealth=reached,
        bound=None if accelerate is not None or cost else grouped_bound(periods, parts, prior),
        points_error=None if len(parts) > 1 or accelerate == "window" else reached - float(inner[0].log_wealth.max()),
        turnover=turnover,
    )


def best_mixture(returns: ArrayLike) -> Floats:
    """The constant mixture with the most wealth in hindsight, by convex optimisation. Needs SciPy.

    It is best where no component's mean factor over that of the mixture is above 1, mean_t r_tj / <lambda, r_t>.

    Args:
        returns: (periods, components) growth factors above 0.

    Returns:
        (components,).

    Raises:
        CompatibilityError: for factors that are not above 0.

    >>> best_mixture([[1, 2], [1, 0.5]]).round(4).tolist()
    [0.5, 0.5]
    """
    from ..predictions.learners.simplex import least_log_loss

    grown = growth_factors(returns)
    # only ratios within a period matter; a common scale keeps the optimiser's numbers near 1
    return np.asarray(least_log_loss((grown / grown.max(axis=1, keepdims=True)).T))
