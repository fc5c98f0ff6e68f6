import numpy as np
import pytest

from modelweave.papers.demo.score import DemoResult, score_rows, table
from modelweave.statistics.bootstrap import bootstrap_interval


def hits(*rows: str) -> np.ndarray:
    return np.array([[mark == "1" for mark in row] for row in rows])


def test_rows_by_hand() -> None:
    right = {"base": hits("1000", "1000"), "a": hits("1111", "0000"), "both": hits("1110", "1110")}
    rows, best = score_rows(right, {"base": "base", "a": "specialist", "both": "merge"}, members=2, seed=0)
    assert best == "a"
    base, a, both = rows
    assert both.accuracy == (0.75, 0.75) and both.mean == 0.75
    assert both.difference == pytest.approx(0.25) and base.difference == pytest.approx(-0.25)
    assert (a.difference, a.low, a.high) == (0.0, 0.0, 0.0)
    # per image both minus a is (.5, .5, .5, -.5), so the mean of any draw lies between -.5 and .5
    assert -0.5 <= both.low < 0.25 < both.high <= 0.5


def test_the_ensemble_is_never_the_best_single_model_and_runs_every_member() -> None:
    right = {"base": hits("10"), "ensemble": hits("11")}
    rows, best = score_rows(right, {"base": "base", "ensemble": "ensemble"}, members=4, seed=0)
    assert best == "base" and rows[1].networks == 4


def test_interval_agrees_with_the_normal_one_on_many_images() -> None:
    gains = np.random.default_rng(1).normal(0.1, 0.5, 2000)
    low, high = bootstrap_interval(gains, draws=4000)
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert low == pytest.approx(gains.mean() - half, abs=0.003)
    assert high == pytest.approx(gains.mean() + half, abs=0.003)


def test_interval_repeats_with_its_seed() -> None:
    gains = np.random.default_rng(1).normal(0, 1, 50)
    assert bootstrap_interval(gains, seed=3) == bootstrap_interval(gains, seed=3) != bootstrap_interval(gains, seed=4)


def test_table(tmp_path) -> None:
    rows, best = score_rows({"base": hits("10", "10"), "both": hits("11", "11")}, {"base": "base", "both": "merge"}, members=1, seed=0)
    result = DemoResult(tmp_path, ("x", "y"), rows, best, 2, tmp_path / "p.png", 1.0)
    head, rows = table(result)
    assert head == ["model", "networks", "x", "y", "mean", "against base (95 %)"]
    assert rows[0] == ["base", "1", "50.0", "50.0", "50.0", ""]
    assert rows[1][:5] == ["both", "1", "100.0", "100.0", "100.0"] and rows[1][5].startswith("+50.0 (")
