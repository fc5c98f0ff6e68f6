"""Universal mixtures: closed forms, identities that hold to the last digits, and the guarantee on many streams."""

from __future__ import annotations

import json
from math import comb, factorial, lgamma, log, prod
from typing import Any

import numpy as np
import pytest

from modelweave import UniversalMixture, universal_mixture
from modelweave.errors import ModelweaveError
from modelweave.outputs.portfolios.growth_factors import forecaster_returns
from modelweave.outputs.portfolios.hierarchy import component_groups, regret_bound
from modelweave.outputs.portfolios.preference import buy_and_hold, constant_mixture, preference
from modelweave.outputs.portfolios.universal_mixture import best_mixture
from modelweave.outputs.portfolios.wealth_figure import draw_wealth, wealth_figure
from modelweave.outputs.simplex_points import simplex_points

ALTERNATING = np.array([[1, 2], [1, 0.5]] * 2)


def market(seed: int, periods: int, components: int) -> np.ndarray:
    return np.exp(0.2 * np.random.default_rng(seed).standard_normal((periods, components)))


def test_the_alternating_market_by_hand() -> None:
    found = universal_mixture(ALTERNATING)
    assert found.weights[0, 1] == pytest.approx(1 / 2) and found.weights[1, 1] == pytest.approx(5 / 9)
    assert found.weights[3, 1] == pytest.approx(0.553846, abs=1e-6)
    assert found.wealth[[2, 4]] == pytest.approx([13 / 12, 47 / 40], rel=1e-12)
    assert found.best_mixture == pytest.approx([0.5, 0.5], abs=1e-4)
    assert np.exp(found.best_mixture_log_wealth) == pytest.approx(1.265625, rel=1e-6)
    two = universal_mixture(ALTERNATING[:2])
    assert np.exp(two.regret) == pytest.approx(1.125 / (13 / 12), rel=1e-6) and two.bound == pytest.approx(log(3))


@pytest.mark.parametrize("components", [1, 2, 3, 4, 7])
def test_wealth_is_the_mean_over_mixtures(components: int) -> None:
    grown = market(components, 60, components)
    found = universal_mixture(grown)
    points, shares = simplex_points(components)
    wealths = np.prod(grown @ points.T, axis=0)
    assert found.wealth[-1] == pytest.approx(shares @ wealths, rel=1e-10)
    assert found.weights.sum(axis=1) == pytest.approx(np.ones(61)) and found.weights[0] == pytest.approx(
        np.full(components, 1 / components)
    )
    for t in (1, 30, 60):
        before = np.prod(grown[:t] @ points.T, axis=0)
        assert found.weights[t] == pytest.approx((shares * before) @ points / (shares @ before), rel=1e-10)


def test_two_components_are_exact_by_polynomials() -> None:
    grown = market(0, 30, 2)
    wealth = np.polynomial.Polynomial([1.0])
    for first, second in grown:
        wealth = wealth * np.polynomial.Polynomial([first, second - first])
    integral = wealth.integ()
    first_moment = (wealth * np.polynomial.Polynomial([0, 1])).integ()
    found = universal_mixture(grown)
    assert found.wealth[-1] == pytest.approx(integral(1) - integral(0), rel=1e-10)
    assert found.weights[-1, 1] == pytest.approx((first_moment(1) - first_moment(0)) / (integral(1) - integral(0)), rel=1e-10)


@pytest.mark.parametrize("components", [2, 3, 4])
def test_the_guarantee_on_many_streams(components: int) -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        grown = np.exp(random.normal(0, random.uniform(0.01, 0.5), (80, components)))
        found = universal_mixture(grown)
        assert found.bound == pytest.approx(log(comb(80 + components - 1, components - 1)))
        assert -1e-6 <= found.regret <= found.bound
        assert found.bound <= (components - 1) * log(81)


def by_expansion(grown: np.ndarray) -> float:
    """The mean wealth over the uniform simplex: the product multiplied out, each monomial's mean in factorials."""
    periods, components = grown.shape
    terms = {(0,) * components: 1.0}
    for row in grown:
        more: dict[tuple[int, ...], float] = {}
        for counts, value in terms.items():
            for j, factor in enumerate(row):
                key = (*counts[:j], counts[j] + 1, *counts[j + 1 :])
                more[key] = more.get(key, 0.0) + value * factor
        terms = more
    means = factorial(components - 1) / factorial(periods + components - 1)
    return sum(value * means * prod(map(factorial, counts)) for counts, value in terms.items())


@pytest.mark.parametrize(("components", "error"), [(2, 1e-12), (3, 1e-3), (4, 1e-2), (6, 3e-2)])
def test_points_against_the_integral_multiplied_out(components: int, error: float) -> None:
    for seed in range(3):
        grown = market(20 + seed, 8, components)
        assert universal_mixture(grown).wealth[-1] == pytest.approx(by_expansion(grown), rel=error)


def test_the_other_prior_is_exact_by_moments() -> None:
    assert universal_mixture(ALTERNATING[:2], prior=0.5).wealth[-1] == pytest.approx(1 + 1 / 4 - 3 / 16, rel=1e-12)
    grown = market(10, 30, 2)
    wealth = np.polynomial.Polynomial([1.0])
    for first, second in grown:
        wealth = wealth * np.polynomial.Polynomial([first, second - first])
    moments = [comb(2 * m, m) / 4**m for m in range(31)]
    assert universal_mixture(grown, prior=0.5).wealth[-1] == pytest.approx(wealth.coef @ moments, rel=1e-9)


def test_many_points_for_two_components() -> None:
    grown = market(11, 100, 2)
    fine = universal_mixture(grown, points=4096)
    assert len(simplex_points(2, points=4096)[0]) in range(4096, 4296)
    assert fine.weights == pytest.approx(universal_mixture(grown).weights, rel=1e-10)
    assert len(simplex_points(3, points=30_000)[0]) == comb(243 + 2, 2)


@pytest.mark.parametrize("prior", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("periods", "components"), [(1, 2), (9, 2), (6, 3), (5, 4)])
def test_the_bound_is_the_worst_sequence(prior: float, periods: int, components: int) -> None:
    """A sequence of components counts its best likelihood over its mean under the prior; the worst has one component throughout."""
    worst = -np.inf
    for counts in np.ndindex(*[periods + 1] * components):
        if sum(counts) == periods:
            best = sum(n * log(n / periods) for n in counts if n)
            mean = (
                lgamma(components * prior) - lgamma(periods + components * prior) + sum(lgamma(n + prior) - lgamma(prior) for n in counts)
            )
            worst = max(worst, best - mean)
    assert regret_bound(periods, components, prior) == pytest.approx(worst, abs=1e-12)
    assert regret_bound(periods, components, 0.4) is None


def test_the_bound_of_the_other_prior_on_many_streams() -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        found = universal_mixture(np.exp(random.normal(0, random.uniform(0.01, 2), (80, 2))), prior=0.5)
        assert found.bound is not None and found.bound < log(81) and -1e-6 <= found.regret <= found.bound
    reached = universal_mixture(np.tile([1.0, 1e-9], (80, 1)))
    assert reached.regret == pytest.approx(log(81), rel=1e-6), "the bound is met where only one component is worth anything"


@pytest.mark.parametrize("components", [2, 3, 7])
def test_the_finite_points_keep_their_own_promise(components: int) -> None:
    for seed in range(10):
        grown = market(30 + seed, 300, components)
        found = universal_mixture(grown)
        points, shares = simplex_points(components)
        wealths = np.log(grown @ points.T).sum(axis=0)
        assert found.points_error == pytest.approx(found.best_mixture_log_wealth - wealths.max(), abs=1e-8)
        assert found.regret <= found.points_error - log(shares[wealths.argmax()]) + 1e-9


def test_nothing_is_decided_from_what_comes_after() -> None:
    grown = market(12, 40, 3)
    other = np.vstack([grown[:20], market(13, 20, 3)])
    for options in ({}, {"groups": 2}, {"accelerate": "window", "window": 5}):
        first, second = (universal_mixture(factors, **options) for factors in (grown, other))
        assert np.array_equal(first.weights[:21], second.weights[:21]) and not np.array_equal(first.weights[21], second.weights[21])


def test_long_records_neither_vanish_nor_explode() -> None:
    for factor in (0.5, 2.0):
        found = universal_mixture(factor * np.exp(0.01 * np.random.default_rng(0).standard_normal((3000, 2))))
        assert np.isfinite(found.weights).all() and np.isfinite(found.log_wealth).all()
        assert found.log_wealth[-1] == pytest.approx(3000 * log(factor), rel=1e-2)
        assert found.wealth[-1] in (0.0, np.inf)


def test_groups_keep_up_with_every_component() -> None:
    for seed in range(10):
        grown = market(seed, 100, 12)
        found = universal_mixture(grown, groups=4, points=600)
        behind = found.component_log_wealth[-1].max() - found.log_wealth[-1]
        assert found.bound is not None and behind <= found.bound
        assert found.weights.sum(axis=1) == pytest.approx(np.ones(101))
        assert found.bound == pytest.approx(log(comb(102, 2)) + log(comb(103, 3))) and found.points_error is None
    assert component_groups("auto", 10) == [list(range(10))]
    assert [len(part) for part in component_groups("auto", 17)] == [4, 4, 3, 3, 3]
    automatic, told = (universal_mixture(grown, groups=g, points=50) for g in ("auto", 4))
    assert np.array_equal(automatic.weights, told.weights)
    lists = universal_mixture(grown, groups=[[0, 5], list(range(1, 5)), list(range(6, 12))])
    assert lists.weights.shape == (101, 12)


def test_components_that_are_one() -> None:
    one = market(3, 50, 1)
    found = universal_mixture(np.repeat(one, 3, axis=1))
    assert found.log_wealth == pytest.approx(found.component_log_wealth[:, 0], abs=1e-12)
    assert found.weights == pytest.approx(np.full((51, 3), 1 / 3))
    many = universal_mixture(np.repeat(one, 6, axis=1))
    assert many.weights == pytest.approx(np.full((51, 6), 1 / 6))


@pytest.mark.parametrize("components", [2, 3, 4])
def test_names_of_components_and_units_do_not_matter(components: int) -> None:
    grown = market(4, 40, components)
    order = np.random.default_rng(0).permutation(components)
    found, turned = universal_mixture(grown), universal_mixture(grown[:, order])
    assert turned.weights == pytest.approx(found.weights[:, order], rel=1e-10)
    assert universal_mixture(grown * 7.5).weights == pytest.approx(found.weights, rel=1e-9)


def test_a_stream_resumed_is_the_run_to_the_bit() -> None:
    grown = market(5, 40, 3)
    for policy in (None, "power", "leader", "window"):
        whole = universal_mixture(grown, accelerate=policy, window=10)
        mixture = UniversalMixture(3, accelerate=policy, window=10)
        for t, factors in enumerate(grown):
            assert np.array_equal(mixture.weights, whole.weights[t])
            mixture.update(factors)
            if t == 20:
                mixture = UniversalMixture.from_state(json.loads(json.dumps(mixture.state())))
        assert np.array_equal(mixture.weights, whole.weights[-1])


def test_policies_by_slow_loops() -> None:
    grown = market(6, 30, 3)
    points, shares = simplex_points(3)
    gains = np.log(grown @ points.T)
    for t in (0, 1, 17, 30):
        wealth = gains[:t].sum(axis=0)
        power = shares * np.exp(3 * wealth)
        assert universal_mixture(grown, accelerate="power", eta=3).weights[t] == pytest.approx(power @ points / power.sum(), rel=1e-9)
        recent = shares * np.exp(gains[max(0, t - 5) : t].sum(axis=0))
        assert universal_mixture(grown, accelerate="window", window=5).weights[t] == pytest.approx(recent @ points / recent.sum(), rel=1e-9)
    assert universal_mixture(grown, accelerate="leader").weights[17] == pytest.approx(points[gains[:17].sum(axis=0).argmax()])
    assert universal_mixture(grown, accelerate="leader").bound is None


def test_a_window_forgets_to_the_last_digits() -> None:
    grown = market(14, 400, 2)
    mixture, recent = UniversalMixture(2, accelerate="window", window=7), UniversalMixture(2)
    for factors in grown:
        mixture.update(factors)
    for factors in grown[-7:]:
        recent.update(factors)
    assert mixture.weights == pytest.approx(recent.weights, abs=1e-12)


def test_costs_are_paid_on_what_is_traded() -> None:
    grown = ALTERNATING[:2]
    free, dear = universal_mixture(grown), universal_mixture(grown, cost=0.01)
    held = np.array([0.5 * 1, 0.5 * 2]) / 1.5
    first = np.abs(np.array([4 / 9, 5 / 9]) - held).sum()
    assert dear.turnover[0] == pytest.approx(first)
    assert dear.wealth[1] == pytest.approx(1.5 * (1 - 0.01 * first)) and dear.bound is None
    assert np.array_equal(free.weights, dear.weights) and dear.wealth[-1] < free.wealth[-1]


def test_a_late_component_is_cash_until_it_starts() -> None:
    grown = market(7, 20, 3)
    late = grown.copy()
    late[:8, 1] = np.nan
    cash = grown.copy()
    cash[:8, 1] = 1
    assert np.array_equal(universal_mixture(late).weights, universal_mixture(cash).weights)
    gap = grown.copy()
    gap[9, 1] = np.nan
    with pytest.raises(ModelweaveError, match="returns: period 9 of component 1 is nan; expected growth factors above 0"):
        universal_mixture(gap)


def test_the_best_mixture_has_no_better_point_on_a_grid() -> None:
    grown = market(8, 50, 3)
    own = np.log(grown @ best_mixture(grown)).sum()
    points, _ = simplex_points(3, points=5000)
    assert own >= np.log(grown @ points.T).sum(axis=0).max() - 1e-9


def test_the_best_mixture_has_a_certificate() -> None:
    """The loss is convex: no mixture leads by more than n log max_j mean_t r_tj / <lambda, r_t>, which is 0 at the best one."""
    for seed in range(40):
        random = np.random.default_rng(seed)
        grown = np.exp(random.normal(0, random.uniform(0.001, 0.8), (int(random.integers(2, 1000)), int(random.integers(2, 9)))))
        over = (grown / (grown @ best_mixture(grown))[:, None]).mean(axis=0).max()
        assert len(grown) * log(over) < 1e-3


def test_plain_strategies() -> None:
    grown = market(9, 25, 3)
    held = buy_and_hold(grown)
    assert np.exp(held[-1]) == pytest.approx(np.prod(grown, axis=0).mean()) and held[-1] <= np.log(np.prod(grown, axis=0)).max()
    assert constant_mixture(grown, [0, 1, 0])[-1] == pytest.approx(np.log(grown[:, 1]).sum())
    assert np.exp(constant_mixture(ALTERNATING, [0.5, 0.5])[-1]) == pytest.approx(1.265625)
    assert buy_and_hold(grown, [0, 0, 1]) == pytest.approx(constant_mixture(grown, [0, 0, 1]), abs=1e-12)
    far = np.tile([1e-9, 1e9], (50, 1))
    assert buy_and_hold(far, [1, 0])[-1] == pytest.approx(50 * log(1e-9))
    for wrong in ([1, 1, 0], [np.nan, 1, 0], [2, -1, 0]):
        with pytest.raises(ModelweaveError, match="weights: expected numbers of at least 0 that sum to 1"):
            constant_mixture(grown, wrong)
    with pytest.raises(ModelweaveError, match=r"weights: expected 3, one a component, got shape \(2,\)"):
        buy_and_hold(grown, [0.5, 0.5])


def test_preferences() -> None:
    up, flat = np.arange(11.0), np.zeros(11)
    assert preference(up, flat).hint == "preferred so far" and preference(up, flat).rate == 1
    assert preference(flat, up).hint == "not preferred so far" and preference(flat, flat).hint == "indifferent so far"
    wave = np.r_[0.0, np.tile([1.0, -1.0], 5)]
    assert preference(wave, flat).hint == "undecided so far"
    assert preference(3 * up, up).slope == pytest.approx(2) and preference([0, 4], [0, 1]).slope == pytest.approx(3)
    melting = preference(np.r_[0.0, np.arange(20.0, 10, -1)], flat)
    assert melting.hint == "preferred so far" and melting.rate == pytest.approx(1.1) and melting.slope == pytest.approx(-1)
    curve = np.random.default_rng(0).standard_normal(31).cumsum()
    assert preference(curve, np.zeros(31)).slope == pytest.approx(np.polyfit(np.arange(15, 31), curve[15:], 1)[0])


def test_forecasters_on_an_alternating_sequence() -> None:
    y = np.tile([0, 1], 200)
    grown = forecaster_returns({"low": np.full(400, 0.2), "high": np.full(400, 0.8)}, y)
    found = universal_mixture(grown)
    assert -found.component_log_wealth[-1] / 400 == pytest.approx([0.9163, 0.9163], abs=1e-4)
    assert -found.log_wealth[-1] / 400 == pytest.approx(0.6931, abs=0.02)
    assert -(found.log_wealth[-1] - found.log_wealth[200]) / 200 == pytest.approx(0.6931, abs=0.005)


def test_the_lead_grows_with_time_on_the_alternating_market() -> None:
    long = universal_mixture(np.tile(ALTERNATING[:2], (400, 1)))
    lead = long.log_wealth - long.component_log_wealth.max(axis=1)
    assert lead[800] > lead[400] > lead[200] > 0
    # the best constant mixture gains log(9/8) every two periods, and the regret is only logarithmic
    assert (lead[800] - lead[400]) / 400 == pytest.approx(log(9 / 8) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: universal_mixture([1.0, 2.0]), r"returns: expected \(periods, components\) growth factors, got shape \(2,\)"),
        (lambda: universal_mixture([[1.0, 0.0]]), "period 0 of component 1 is 0; expected growth factors above 0"),
        (lambda: universal_mixture(ALTERNATING, accelerate="warp"), "unknown policy 'warp'"),  # type: ignore[arg-type]
        (lambda: universal_mixture(ALTERNATING, cost=0.5), "cost must be at least 0 and below 0.5, since turnover can be 2, got 0.5"),
        (lambda: universal_mixture(ALTERNATING, groups="many"), "'auto' or None, got 'many'"),
        (lambda: universal_mixture(ALTERNATING, groups=3), "groups: expected a number from 1 to 2, got 3"),
        (lambda: universal_mixture(ALTERNATING, groups=[[0], [0, 1]]), "groups: expected lists that hold each of 0 to 1 once"),
        (lambda: universal_mixture(ALTERNATING, prior=0), "a prior above 0"),
        (lambda: universal_mixture(ALTERNATING, accelerate="power", eta=0), "expected eta above 0"),
        (lambda: UniversalMixture(2).update([1, 2, 3]), "expected 2 finite factors above 0"),
        (
            lambda: UniversalMixture.from_state({**UniversalMixture(2).state(), "log_wealth": [0.0]}),
            "expected 200 values of log_wealth, got 1",
        ),
        (lambda: forecaster_returns({}, [1, 0]), "at least one forecaster is needed"),
        (lambda: preference([0, np.inf], [0, 1]), "expected finite log-wealth"),
        (lambda: draw_wealth(universal_mixture(ALTERNATING), "unused.png", ["a"]), "names: expected 2, one a component, got 1"),
        (lambda: preference([0, 1], [0]), "expected two curves of one length"),
        (lambda: forecaster_returns({"a": [0.5]}, [1, 0]), "member 'a': has 1 rows, expected 2"),
    ],
)
def test_what_is_wrong_is_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ModelweaveError, match=message):
        make()


def test_the_figure(tmp_path: Any) -> None:
    draw_wealth(universal_mixture(market(1, 30, 3)), tmp_path / "wealth.png", ["a", "b", "c"])
    assert (tmp_path / "wealth.png").read_bytes().startswith(b"\x89PNG")
    found = universal_mixture(market(2, 30, 3))
    lines = {line.get_label(): line.get_ydata() for line in wealth_figure(found).axes[0].lines}
    assert lines["best constant mixture, in hindsight"][-1] == pytest.approx(found.best_mixture_log_wealth)
    assert np.array_equal(lines["universal mixture"], found.log_wealth) and len(lines) == 5
    assert len(wealth_figure(universal_mixture(market(2, 5, 12), points=50)).axes[0].get_legend().texts) == 3
