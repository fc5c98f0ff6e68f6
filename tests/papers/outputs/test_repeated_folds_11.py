"""The checks on repeated folds."""

from __future__ import annotations

import pytest

from modelweave.papers.outputs import repeated_folds_11 as paper


def rows(gain: float, copies: float, blind: float) -> list[dict[str, object]]:
    made = {"condition": "task 1", "ensemble": 0.7 + gain, "one shot": 0.7, "one member": 0.68, "jensen": 0.1, "lowest": 0.0}
    made |= {f"of {size}": 0.7 + size / 1000 for size in paper.SIZES}
    return [{**made, "seed": seed, "copies": copies, "labels at random": blind} for seed in range(6)]


@pytest.mark.parametrize(
    ("gain", "copies", "blind", "failing"),
    [
        (0.02, 0, 0.5, set()),
        (0.005, 0, 0.5, {"ensemble - one shot, external AUC, mean"}),
        (-0.02, 0, 0.5, {"ensemble - one shot, external AUC, mean", "share of tasks where the ensemble wins"}),
        (0.02, 0.01, 0.5, {"25 times the same head - that head"}),
        (0.02, 0, 0.6, {"labels at random: AUC, mean"}),
    ],
)
def test_checks_hold_and_fail_as_they_should(gain: float, copies: float, blind: float, failing: set[str]) -> None:
    checks = paper.EXPERIMENT.judge(rows(gain, copies, blind))
    assert {check.name for check in checks if not check.holds} == failing
