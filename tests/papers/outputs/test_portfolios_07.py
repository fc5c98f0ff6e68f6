"""The checks on portfolios."""

from __future__ import annotations

import pytest

from modelweave.papers.outputs import portfolios_07 as paper


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
