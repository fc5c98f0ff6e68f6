"""What recall_vs_area returns: one area a query, and everything that is read off these areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError
from ...statistics.bootstrap import check_draws, percentile_interval, resampled, resampled_means, tails

Measure: TypeAlias = "float | Literal['normalised_area', 'median_area']"

POINTS_A_DECADE = 20
# Areas are rounded sums, so a budget that equals one on paper may miss it by the last bits.
SLACK = 1 + 1e-12


class Curve(NamedTuple):
    """Recall at each budget, and with a level its interval; shapes (budgets,)."""

    budgets: NDArray[np.float64]
    recall: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


class Estimate(NamedTuple):
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class AreaResult:
    """One area a query, and everything that is read off these areas.

    Attributes:
        area: (queries,) km^2 searched until the true cell is in.
        total: km^2 of all cells.
        rank: as it was asked for.
        ties: as it was asked for.
        lowest: km^2 where the axis of areas begins, as it was asked for.

    >>> found = AreaResult(np.array([20.0, 500.0, 90.0]), total=1000.0)
    >>> found.recall(100), found.area_at(1.0), found.median_area
    (0.6666666666666666, 500.0, 90.0)
    """

    area: NDArray[np.float64]
    total: float
    rank: str = "score"
    ties: str = "index"
    lowest: float = 10.0

    @overload
    def recall(self, budget: float) -> float: ...
    @overload
    def recall(self, budget: ArrayLike) -> float | NDArray[np.float64]: ...
    def recall(self, budget: ArrayLike) -> float | NDArray[np.float64]:
        """Share of queries whose area is at most the budget, in km^2; one number for each budget."""
        budgets = np.asarray(budget, np.float64)
        if np.isnan(budgets).any():
            raise ParameterError("recall: a budget is NaN; expected areas in km^2")
        found = np.searchsorted(np.sort(self.area), budgets * SLACK, side="right") / len(self.area)
        return float(found) if budgets.ndim == 0 else np.asarray(found)

    def area_at(self, recall: float) -> float:
        """The smallest budget, in km^2, at which that share of queries is found. Raises ParameterError outside (0, 1]."""
        if not 0 < recall <= 1:
            raise ParameterError(f"area_at: recall must be in (0, 1], got {recall}")
        return float(np.quantile(self.area, recall, method="inverted_cdf"))

    @property
    def median_area(self) -> float:
        """Median over queries, km^2; for an even number the mean of the middle two."""
        return float(np.median(self.area))

    @property
    def normalised_area(self) -> float:
        """Area under recall over log10(area), as a share of the axis from `lowest` to the whole Earth; exact, without a grid of budgets.

        mean over queries of log(total / max(area, lowest)) / log(total / lowest). Raises ParameterError if lowest >= total.
        """
        return float(self._shares().mean())

    def curve(self, budgets: ArrayLike | None = None, *, level: float | None = None, draws: int = 1000, seed: int = 0) -> Curve:
        """Recall over budgets; with a level, a bootstrap interval at each.

        Args:
            budgets: km^2; by default 20 a decade from `lowest` to the whole Earth.
            level: of the interval, in (0, 1); None for no interval.
            draws: bootstrap samples of the queries, at least 1.
            seed: of the draws.
        """
        if budgets is None:
            self._check_axis()
            count = max(2, int(np.ceil(POINTS_A_DECADE * np.log10(self.total / self.lowest))) + 1)
            axis = np.geomspace(self.lowest, self.total, count)
        else:
            axis = np.atleast_1d(np.asarray(budgets, np.float64))
        recall = np.asarray(self.recall(axis))
        if level is None:
            return Curve(axis, recall)
        # A resample of queries, seen through the budgets, is a multinomial draw over the steps between them.
        ends = tails(level)
        check_draws(draws)
        order = np.argsort(axis)
        steps = np.diff(recall[order], prepend=0, append=1).clip(0)
        counts = np.random.default_rng(seed).multinomial(len(self.area), steps / steps.sum(), size=draws)
        bounds = np.empty((2, len(axis)))
        bounds[:, order] = np.quantile(counts[:, :-1].cumsum(axis=1) / len(self.area), ends, axis=0)
        return Curve(axis, recall, bounds[0], bounds[1])

    def estimate(self, measure: Measure, *, level: float = 0.95, draws: int = 1000, seed: int = 0) -> Estimate:
        """A measure with its percentile interval over resampled queries.

        Args:
            measure: a budget in km^2 (its recall), "normalised_area" or "median_area".
            level: in (0, 1).
            draws: at least 1.
            seed: of the draws.
        """
        return _estimate(measure, [self._values(measure)], level, draws, seed)

    def difference(self, other: AreaResult, measure: Measure, *, level: float = 0.95, draws: int = 1000, seed: int = 0) -> Estimate:
        """This result's measure minus the other's on the same queries, with an interval from resampling both together.

        Args:
            other: of the same queries in the same order.
            measure: a budget in km^2 (its recall), "normalised_area" or "median_area".
            level: in (0, 1).
            draws: at least 1.
            seed: of the draws.

        Raises:
            CompatibilityError: where the two do not have as many queries.
        """
        if len(other.area) != len(self.area):
            raise CompatibilityError(
                f"difference: {len(self.area)} queries against {len(other.area)}; a paired difference needs the same queries in one order"
            )
        return _estimate(measure, [self._values(measure), other._values(measure)], level, draws, seed)

    def by(self, labels: ArrayLike) -> dict[Any, AreaResult]:
        """This result for the queries of each label, in the labels' order: urban and rural places, say. labels: (queries,)."""
        words = np.asarray(labels)
        if words.shape != self.area.shape:
            raise CompatibilityError(f"by: expected one label for each of {len(self.area)} queries, got shape {words.shape}")
        return {w.item(): AreaResult(self.area[words == w], self.total, self.rank, self.ties, self.lowest) for w in np.unique(words)}

    def _shares(self) -> NDArray[np.float64]:
        self._check_axis()
        shares = np.log(self.total / np.maximum(self.area, self.lowest)) / np.log(self.total / self.lowest)
        return np.asarray(np.maximum(shares, 0))

    def _check_axis(self) -> None:
        if self.lowest >= self.total:
            raise ParameterError(
                f"the axis of areas begins at lowest = {self.lowest} km^2 but all cells have {self.total}; give a smaller lowest"
            )

    def _values(self, measure: Measure) -> NDArray[np.float64]:
        """One number a query, of which the measure is the mean or, for the median area, the median."""
        if measure == "median_area":
            return self.area
        if measure == "normalised_area":
            return self._shares()
        if isinstance(measure, str) or not measure > 0:
            raise ParameterError(f"measure must be a budget above 0 km^2, 'normalised_area' or 'median_area', got {measure!r}")
        return (self.area <= measure * SLACK).astype(np.float64)


def _estimate(measure: Measure, sides: list[NDArray[np.float64]], level: float, draws: int, seed: int) -> Estimate:
    """The measure of the first numbers, less that of the second where there are such, over the same resampled queries."""
    options: Any = {"draws": draws, "seed": seed}
    if measure == "median_area":

        def median_gain(times: NDArray[np.float64]) -> float:
            medians = [float(np.median(np.repeat(side, times.astype(np.intp)))) for side in sides]
            return medians[0] - sum(medians[1:])

        value, found = median_gain(np.ones(len(sides[0]))), resampled(median_gain, len(sides[0]), **options)
    else:
        means = resampled_means(sides, **options)
        value, found = float(sides[0].mean() - sum(side.mean() for side in sides[1:])), means[:, 0] - means[:, 1:].sum(axis=1)
    return Estimate(value, *percentile_interval(found, level))
