"""The made markets and the checks of paper 7."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.outputs import portfolios_07 as paper


def test_the_markets_are_what_they_say() -> None:
    logs = np.log(paper.reverting(0))
    assert logs.shape == (3000, 3) and np.array_equal(paper.reverting(0), paper.reverting(0))
    apart = np.cumsum(logs, axis=0) - np.cumsum(logs, axis=0).mean(axis=1, keepdims=True)
    assert np.abs(apart).max() < 1, "components stay near each other"
    assert np.corrcoef(apart[:-1, 0], apart[1:, 0])[0, 1] == pytest.approx(0.97, abs=0.02)
    drift = np.log(paper.dominated(0)).mean(axis=0)
    assert drift - drift[1] == pytest.approx([0.002, 0, -0.001], abs=2e-4)


def rows(lead: float, gap: float, held: float) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for world, own in (("reverting", lead), ("one dominates", -gap)):
        found.append({"condition": f"{world}: mixture", "lead": own, "half": 0.1, "regret": 0.2})
        for policy in ("power", "leader", "window", "mixture, cost .001"):
            found.append({"condition": f"{world}: {policy}", "lead": 0.0, "regret": 0.0})
    found.append({"condition": "reverting: buy and hold", "lead": held})
    found.append({"condition": "reverting: best component alone", "lead": 0.0})
    return [{"seed": 0, **row} for row in found]


@pytest.mark.parametrize(
    ("lead", "gap", "held", "failing"),
    [
        (0.3, 3, -0.1, 0),
        (0.2, 3, -0.1, 1),
        (0.3, 16, -0.1, 1),
        (0.3, -0.1, -0.1, 1),
        (0.3, 3, 0.1, 1),
    ],
)
def test_checks_hold_and_fail_as_they_should(lead: float, gap: float, held: float, failing: int) -> None:
    checks = paper.EXPERIMENT.judge(rows(lead, gap, held))
    assert sum(not check.holds for check in checks) == failing
