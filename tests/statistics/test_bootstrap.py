"""The paired bootstrap against closed forms, a plain bootstrap with its matrix of rows, and the truth in simulations."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from modelweave.errors import ParameterError
from modelweave.statistics import bootstrap
from modelweave.statistics.bootstrap import (
    bootstrap_interval,
    bootstrap_p_value,
    percentile_interval,
    resampled,
    resampled_means,
)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def plain_means(values: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """The textbook's: a matrix of draws by rows."""
    rows = np.random.default_rng(seed).integers(values.shape[1], size=(draws, values.shape[1]))
    return values[:, rows].mean(axis=2).T


def test_as_the_plain_bootstrap_draw_by_draw() -> None:
    values = normal(3, 57)
    np.testing.assert_allclose(resampled_means(values, draws=40, seed=5), plain_means(values, 40, 5), rtol=0, atol=1e-14)


def test_a_million_rows_have_the_variance_of_a_mean_and_no_matrix() -> None:
    values = normal(2, 1_000_000)
    tracemalloc.start()
    means = resampled_means(values, draws=400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # var(mean) = s^2 / n; a variance from 400 draws is right to a factor of 1 +- 1 / sqrt(200)
    assert means.var(axis=0) == pytest.approx(values.var(axis=1) / 1_000_000, rel=0.25)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=1), abs=3e-4)
    assert peak < 100e6


def test_bundles_have_the_spread_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).exponential(size=(1, 4000))
    alone = resampled_means(values, draws=4000)[:, 0]
    monkeypatch.setattr(bootstrap, "BUNDLES", 500)
    bundled = resampled_means(values, draws=4000)[:, 0]
    assert bundled.mean() == pytest.approx(alone.mean(), abs=1e-3)
    assert bundled.std() == pytest.approx(alone.std(), rel=0.1)
    assert percentile_interval(bundled) == pytest.approx(percentile_interval(alone), abs=4e-3)


def test_bundles_that_hold_a_row_each_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal(1, 50)
    alone = resampled_means(values, draws=30)
    monkeypatch.setattr(bootstrap, "BUNDLES", 50)
    assert np.array_equal(resampled_means(values, draws=30), alone)


def test_columns_are_drawn_together_and_weights_are_kept() -> None:
    values, weight = normal(40), np.random.default_rng(1).random(40)
    means = resampled_means([values, 2 * values, np.ones(40)], weight=weight, draws=50)
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0])
    np.testing.assert_allclose(means[:, 2], 1)
    assert means[:, 0].mean() == pytest.approx(np.average(values, weights=weight), abs=0.1)


def test_groups_are_drawn_whole() -> None:
    groups = np.repeat(["x", "y", "z"], [1, 2, 3])
    values = np.array([[0.0, 3.0, 3.0, 6.0, 6.0, 6.0]])
    seen = set(resampled_means(values, groups=groups, draws=500)[:, 0].round(9))
    # of x (0 in 1 row), y (6 in 2), z (18 in 3), three are drawn
    sums, sizes = np.array([0, 6, 18]), np.array([1, 2, 3])
    wanted = {round(sums[list(pick)].sum() / sizes[list(pick)].sum(), 9) for pick in np.ndindex(3, 3, 3)}
    assert seen == wanted


def test_any_statistic_by_how_often_rows_were_drawn() -> None:
    values = normal(400)
    medians = resampled(lambda times: float(np.median(np.repeat(values, times.astype(int)))), 400, draws=600)
    # the median of n normal values has the variance pi / (2 n)
    assert medians.std() == pytest.approx(np.sqrt(np.pi / 800), rel=0.25)
    means = resampled(lambda times: float(times @ values / times.sum()), 400, draws=600)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.1)
    twice = resampled(lambda times: float(times.sum()), 4, weight=np.full(4, 2.0), groups=np.array([0, 0, 1, 1]), draws=5)
    assert twice.tolist() == [8.0] * 5


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(300):
        low, high = bootstrap_interval(normal(60, seed=seed) + 0.3, draws=300, level=0.8, seed=seed)
        covered += low <= 0.3 <= high
    # 240 +- 7 would be exact, and percentiles of 60 rows are a little narrow
    assert 215 <= covered <= 260


def test_the_p_value_by_hand() -> None:
    assert bootstrap_p_value(np.arange(1.0, 100.0)) == pytest.approx(2 / 100)
    assert bootstrap_p_value(np.r_[np.full(9, -1.0), 1.0, 2.0]) == pytest.approx(2 * 3 / 12)
    assert bootstrap_p_value(np.zeros(5)) == 1


def test_no_draws_have_no_interval_and_wrong_options_are_refused() -> None:
    assert np.isnan(percentile_interval(np.empty(0))).all()
    with pytest.raises(ParameterError, match=r"level must be in \(0, 1\), got 1.0"):
        percentile_interval(np.ones(3), 1.0)
    for draw in (lambda: resampled_means([[1.0]], draws=0), lambda: resampled(len, 1, draws=0)):
        with pytest.raises(ParameterError, match="draws must be at least 1, got 0"):
            draw()
