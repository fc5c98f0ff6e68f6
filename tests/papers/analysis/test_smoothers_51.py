"""The experiment on smoothers (arXiv 2402.01502), at a tiny size: its rows, and that its checks can fail."""

from __future__ import annotations

from typing import Any

import pytest

from modelweave.papers.analysis import smoothers_51 as paper

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [{"seed": 0, **row} for row in paper.run(0, rows=80, trees=6, refits=3, redraws=3)]


def by_condition(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["condition"]: row for row in rows}


def test_exact_values_at_any_size(rows: list[dict[str, Any]]) -> None:
    found = by_condition(rows)
    assert found["one tree"]["p0_train"] == pytest.approx(80) and found["one tree"]["p0_new"] == pytest.approx(80)
    assert found["forest"]["p0_train"] == pytest.approx(80) and found["forest"]["p0_new"] < 40
    assert found["one tree again and again"]["p0_new"] == pytest.approx(80)
    assert found["offset 0.0"]["p0_new"] == pytest.approx(80)
    assert max(row["identity"] for row in rows if "identity" in row) < 1e-10
    assert max(row["sums"] for row in rows if "sums" in row) < 1e-10
    assert found["first 5 trees"]["p0_new"] < found["first 2 trees"]["p0_new"] < found["first 1 trees"]["p0_new"]
    assert found["one tree, redrawn labels"]["degrees"] == pytest.approx(found["forest, redrawn labels"]["degrees"])


def full(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they would be with 500 rows and 50 trees, so that the checks of that size can be asked."""
    factor = {"p0_train": 500 / 80, "p0_new": 500 / 80, "p0_control": 500 / 80}
    grown = [{key: value * factor.get(key, 1) if key != "condition" else value for key, value in row.items()} for row in rows]
    known = by_condition(grown)
    for size in (10, 25, 50):
        grown.append({**known["first 5 trees"], "condition": f"first {size} trees", "p0_new": 400 / size})
    known["forest"]["p0_new"], known["forest, bootstrap"]["p0_train"], known["forest, bootstrap"]["p0_new"] = 43.0, 208.0, 30.0
    known["one tree"]["error"] = known["one tree again and again"]["error"] = known["forest"]["error"] + 2
    for offset, value in zip(paper.OFFSETS, (500.0, 255.0, 130.0, 70.0, 46.0, 45.0), strict=True):
        known[f"offset {offset}"]["p0_new"] = value
    for column in ("representation", "variability"):
        known["forest, no noise"][column] = 0.3 * known["one tree, no noise"][column]
    return grown


def test_judge_says_what_fails(rows: list[dict[str, Any]]) -> None:
    good = full(rows)
    assert [check.name for check in paper.EXPERIMENT.judge(good) if not check.holds] == []
    for condition, column, value, word in (
        ("forest", "p0_new", 61.0, "forest: p0, new rows"),
        ("one tree", "p0_new", 499.0, "one tree: p0, new rows"),
        ("offset 0.1", "p0_new", 200.0, "falls with the offset"),
        ("one tree again and again", "p0_new", 300.0, "one tree again and again: p0"),
        ("first 10 trees", "p0_control", 50.0, "one tree b times"),
        ("boosting, 2 leaves", "identity", 1e-3, "S y - prediction"),
    ):
        changed = [{**row, column: value} if row["condition"] == condition else row for row in good]
        failing = [check.name for check in paper.EXPERIMENT.judge(changed) if not check.holds]
        assert any(word in name for name in failing), (condition, failing)
        assert len(failing) <= 2


def test_it_is_the_same_again(rows: list[dict[str, Any]]) -> None:
    again = paper.run(0, rows=80, trees=6, refits=3, redraws=3)
    assert [{"seed": 0, **row} for row in again] == rows
