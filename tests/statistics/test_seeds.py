"""Intervals over seeds against SciPy's, against every sample written out, and against the truth in simulations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from modelweave.errors import MissingExtraError, ParameterError
from modelweave.statistics.seeds import exact_bootstrap_interval, paired_t_interval, t_interval

VALUES = [0.4, -0.1, 0.9, 0.3, 0.2]


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_student_as_scipy(level: float) -> None:
    wanted = stats.ttest_1samp(VALUES, 0).confidence_interval(level)
    assert t_interval(VALUES, level=level) == pytest.approx((wanted.low, wanted.high))


def test_paired_as_scipy_and_by_the_differences() -> None:
    other = [0.1, 0.2, 0.3, 0.1, 0.5]
    wanted = stats.ttest_rel(VALUES, other).confidence_interval(0.9)
    assert paired_t_interval(VALUES, other, level=0.9) == pytest.approx((wanted.low, wanted.high))
    assert paired_t_interval(VALUES, VALUES) == (0, 0)


def test_student_covers_the_truth_with_five_seeds_and_the_bootstrap_does_not() -> None:
    random, t, b = np.random.default_rng(0), 0, 0
    for _ in range(400):
        values = random.normal(1.0, 2.0, 5).tolist()
        low, high = t_interval(values)
        t += low <= 1 <= high
        low, high = exact_bootstrap_interval(values)
        b += low <= 1 <= high
    # 380 +- 4 is exact; percentiles of five values cover about 83 percent
    assert 368 <= t <= 392 and 310 <= b <= 355


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_the_exact_bootstrap_is_that_of_all_samples(level: float) -> None:
    every = np.sort([np.mean(sample) for sample in product(VALUES, repeat=5)])
    wanted = np.quantile(every, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    assert exact_bootstrap_interval(VALUES, level=level) == pytest.approx(tuple(wanted))


@pytest.mark.parametrize("level", [0.5, 0.75, 0.95])
def test_the_exact_bootstrap_of_the_opposite_is_the_opposite(level: float) -> None:
    for values in (VALUES, [0.0, 1.0], [0.0, 1.0, 5.0, 5.0]):
        low, high = exact_bootstrap_interval(values, level=level)
        assert exact_bootstrap_interval([-v for v in values], level=level) == pytest.approx((-high, -low))


def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ([1.0], [1.0, float("nan")], [[1.0, 2.0]]):
        for interval in (t_interval, exact_bootstrap_interval):
            with pytest.raises(ParameterError, match="two or more finite numbers"):
                interval(wrong)
    with pytest.raises(ParameterError, match="as many values on both sides, got 1 and 2"):
        paired_t_interval([1.0], [1.0, 2.0])
    with pytest.raises(ParameterError, match="at most 8 values, got 9"):
        exact_bootstrap_interval([0.0] * 9)
    monkeypatch.setitem(__import__("sys").modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match="needs 'scipy'"):
        t_interval([1.0, 2.0])
