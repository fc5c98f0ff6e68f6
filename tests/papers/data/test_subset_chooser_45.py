"""The checks on the chooser of subsets."""

from __future__ import annotations

import pytest

from modelweave.papers.data import subset_chooser_45 as paper


def rows(few: float, moon: float, added: float) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [{"condition": "minority: EquiVSet", "jaccard": 0.7}, {"condition": "moons: EquiVSet", "jaccard": 0.6}]
    found += [{"condition": "minority: INSET", "jaccard": 0.7 + few}, {"condition": "moons: INSET", "jaccard": 0.6 + moon}]
    found += [{"condition": "minority: additive", "jaccard": 0.7 + added}, {"condition": "minority: inside", "jaccard": 0.8}]
    found += [{"condition": f"digits: {way}", "excess": 0.01} for way in ("chosen", "greedy", "three best alone", "at random")]
    return [{"seed": 0, **row} for row in found]


@pytest.mark.parametrize(
    ("few", "moon", "added", "failing"),
    [(0.1, 0.05, 0.0, 0), (0.04, 0.05, 0.0, 1), (0.02, 0.05, 0.0, 2), (0.1, 0.01, 0.0, 1), (0.1, 0.05, 0.05, 1)],
)
def test_checks_hold_and_fail_as_they_should(few: float, moon: float, added: float, failing: int) -> None:
    assert sum(not check.holds for check in paper.EXPERIMENT.judge(rows(few, moon, added))) == failing
