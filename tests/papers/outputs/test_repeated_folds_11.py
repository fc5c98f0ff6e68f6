"""The made cohorts and the checks of paper 11."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.outputs import repeated_folds_11 as paper


def test_cohorts_are_what_they_say() -> None:
    slides, y = paper.make_cohort(3, 1, 200, shift=0)
    again, _ = paper.make_cohort(3, 1, 200, shift=0)
    moved, same = paper.make_cohort(3, 1, 200, shift=1)
    assert all(np.array_equal(a, b) for a, b in zip(slides, again, strict=True)) and np.array_equal(y, same)
    shift = moved[0] - slides[0]
    assert np.linalg.norm(shift, axis=1) == pytest.approx(np.ones(24)), "a stain of length 1 on every tile"
    signal = np.random.default_rng([3, 1]).standard_normal((2, 24))[0]
    along = np.array([slide @ signal / np.linalg.norm(signal) for slide in slides]).mean(axis=1)
    assert along[y == 1].mean() - along[y == 0].mean() == pytest.approx(2.5 * (5 - 1) / 24, abs=0.2)


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
