"""Prompt weights: a small run can be judged."""

from __future__ import annotations

from typing import Any

import pytest

from modelweave.papers.outputs import prompt_weights_03 as paper


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for seed in (7, 8) for row in paper.run(seed, images=400, generic=500)]


def test_a_small_run_can_be_judged(rows: list[dict[str, Any]]) -> None:
    checks = {check.name: check for check in paper.EXPERIMENT.judge(rows)}
    by = {row["condition"]: row for row in rows if row["seed"] == 8}
    assert checks["weighted - all alike"].got[1] == by["weighted, both"]["accuracy"] - by["all alike"]["accuracy"]
    assert checks["weighted - all alike"].holds and checks["weights given to other templates - all alike"].holds
    assert [check.kind for check in checks.values()].count("control") == 2
    again = [{k: v for k, v in row.items() if k != "seed"} for row in rows if row["seed"] == 7]
    assert paper.run(7, images=400, generic=500) == again


def test_weights_that_do_nothing_are_noticed(rows: list[dict[str, Any]]) -> None:
    """With all templates alike in place of the weights neither claim holds."""
    alike = {row["seed"]: row["accuracy"] for row in rows if row["condition"] == "all alike"}
    changed = [{**row, "accuracy": alike[row["seed"]]} if row["condition"] == "weighted, both" else row for row in rows]
    assert not paper.EXPERIMENT.judge(changed)[0].holds
