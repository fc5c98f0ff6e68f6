import dataclasses

import numpy as np
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.geolocation.area_result import AreaResult
from modelweave.outputs.geolocation.strata import by_attribute

TOTAL = 1e6


def made(seed=0, queries=200):
    return AreaResult(10 ** np.random.default_rng(seed).uniform(0.5, 6, queries), TOTAL)


def test_recall_counts_queries_up_to_and_with_the_budget():
    found = AreaResult(np.array([4.0, 5, 7, 10]), 10.0, lowest=1.0)
    assert [found.recall(a) for a in (3.9, 4, 6.9, 7, 10, 1e9)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert found.recall([4, 10]).tolist() == [0.25, 1]
    assert found.median_area == 6
    assert [found.area_at(r) for r in (0.25, 0.26, 0.5, 1)] == [4, 5, 5, 10]


def test_the_curve_rises_to_one_at_the_whole_earth():
    curve = made().curve()
    assert curve.budgets[0] == 10 and curve.budgets[-1] == TOTAL and len(curve.budgets) == 101
    assert np.diff(np.log(curve.budgets)) == pytest.approx(np.log(1e5) / 100)
    assert (np.diff(curve.recall) >= 0).all() and curve.recall[-1] == 1
    assert curve.recall.tolist() == [np.mean(made().area <= b) for b in curve.budgets]


def test_the_normalised_area_is_the_integral_of_recall():
    found = made()
    axis = np.linspace(1, 6, 200_001)
    steps = np.diff(axis) * found.recall(10 ** ((axis[1:] + axis[:-1]) / 2))
    assert found.normalised_area == pytest.approx(steps.sum() / 5, abs=1e-5)


def test_the_normalised_area_by_hand():
    at = [AreaResult(np.array([a]), TOTAL).normalised_area for a in (1.0, 10.0, 1e3, 1e6)]
    assert at == pytest.approx([1, 1, 0.6, 0])


def test_intervals_of_recall_are_those_of_a_binomial():
    """For a share p of n the bootstrap is Binomial(n, p) / n; its quantiles are known exactly."""
    scipy_stats = pytest.importorskip("scipy.stats")
    found = AreaResult(np.r_[np.full(60, 1.0), np.full(140, 100.0)], 1000.0, lowest=0.5)
    low, high = (scipy_stats.binom.ppf(q, 200, 0.3) / 200 for q in (0.025, 0.975))
    estimate = found.estimate(10.0, draws=20_000)
    assert estimate == pytest.approx((0.3, low, high), abs=0.0051)
    curve = found.curve([1000.0, 10.0, 0.7], level=0.95, draws=20_000)
    assert curve.recall.tolist() == [1, 0.3, 0]
    assert curve.low == pytest.approx([1, low, 0], abs=0.0051)
    assert curve.high == pytest.approx([1, high, 0], abs=0.0051)


def test_intervals_of_a_mean_are_those_of_the_normal_law():
    found = made(queries=4000)
    shares = np.log(TOTAL / np.maximum(found.area, 10)) / np.log(TOTAL / 10)
    value, low, high = found.estimate("normalised_area", draws=4000)
    half = 1.96 * shares.std() / np.sqrt(4000)
    assert value == found.normalised_area
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.08)


def test_the_median_has_the_interval_of_its_order_statistics():
    """A resampled median of n = 401 distinct values lies between the order statistics of Binomial(n, 1/2): ranks 181 to 221 at 95 %."""
    found = AreaResult(np.arange(1.0, 402), 1000.0)
    value, low, high = found.estimate("median_area", draws=4000)
    assert value == 201
    assert (low, high) == pytest.approx((181.4, 220.6), abs=2.5)


@pytest.mark.parametrize("measure", [1e4, "normalised_area", "median_area"])
def test_a_paired_difference_is_one_of_the_same_queries(measure):
    one = made()
    better = AreaResult(one.area * 0.8, TOTAL)
    value, low, high = better.difference(one, measure)
    assert value == pytest.approx(better.estimate(measure).value - one.estimate(measure).value)
    assert low <= value <= high
    apart = better.estimate(measure)
    assert high - low < apart.high - apart.low  # pairing takes the spread between queries out
    assert one.difference(one, measure) == (0, 0, 0)
    assert one.difference(better, measure) == pytest.approx((-value, -high, -low))


def test_the_same_seed_is_the_same_interval_and_no_global_chance_is_used():
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert made().estimate(1e4, seed=5) == made().estimate(1e4, seed=5) != made().estimate(1e4, seed=6)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_parts_by_label():
    found = AreaResult(np.array([1.0, 2, 30, 4]), 100.0, rank="density", ties="pessimistic", lowest=0.5)
    parts = found.by(["rural", "urban", "rural", "urban"])
    assert {label: part.area.tolist() for label, part in parts.items()} == {"rural": [1, 30], "urban": [2, 4]}
    assert dataclasses.asdict(parts["urban"]) | {"area": 0} == dataclasses.asdict(found) | {"area": 0}


def test_a_row_for_each_label_and_way():
    one, two = AreaResult(np.array([20.0, 500, 90]), 1000.0), AreaResult(np.array([10.0, 1000, 80]), 1000.0)
    rows = by_attribute({"one": one, "two": two}, [1, 0, 0], [85, 100])
    assert [(r["label"], r["name"], r["queries"], r["recall"]) for r in rows] == [
        (0, "one", 2, {85: 0, 100: 0.5}),
        (0, "two", 2, {85: 0.5, 100: 0.5}),
        (1, "one", 1, {85: 1, 100: 1}),
        (1, "two", 1, {85: 1, 100: 1}),
    ]
    assert [r["median_area"] for r in rows] == [295, 540, 20, 10]
    assert rows[3]["normalised_area"] == 1


def test_nothing_can_be_set():
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().total = 1.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda r: r.recall(float("nan")), ParameterError, "NaN"),
        (lambda r: r.area_at(0), ParameterError, "in \\(0, 1\\]"),
        (lambda r: r.estimate("median"), ParameterError, "'median_area', got 'median'"),
        (lambda r: r.estimate(-1.0), ParameterError, "budget above 0"),
        (lambda r: r.estimate(1.0, level=1.0), ParameterError, "level"),
        (lambda r: r.curve(level=0.9, draws=0), ParameterError, "draws"),
        (lambda r: AreaResult(r.area, 9.0).curve(), ParameterError, "smaller lowest"),
        (lambda r: AreaResult(r.area, 9.0).normalised_area, ParameterError, "smaller lowest"),
        (lambda r: r.difference(made(queries=3), 1.0), CompatibilityError, "200 queries against 3"),
        (lambda r: r.by(["x"]), CompatibilityError, "one label for each of 200"),
        (lambda r: by_attribute({}, [], []), CompatibilityError, "no results"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(made())
