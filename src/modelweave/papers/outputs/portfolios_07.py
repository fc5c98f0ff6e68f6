"""07 Portfolio strategies: a universal mixture keeps up with the best constant mixture, and may outgrow every component."""

from __future__ import annotations

from math import comb, log

import numpy as np

from ...outputs.portfolios.preference import buy_and_hold, constant_mixture
from ...outputs.portfolios.universal_mixture import universal_mixture
from ..harness.checks import at_least, at_most, between, claim, invariant, report, within
from ..harness.experiment import Experiment
from ..harness.measures import gap, joined, value
from ..harness.rows import Row
from ..worlds.markets import PERIODS, dominated, reverting


def run(seed: int) -> list[Row]:
    """Both worlds with every policy, and the controls."""
    rows: list[Row] = []
    for world, grown in (("reverting", reverting(seed)), ("one dominates", dominated(seed))):
        found = universal_mixture(grown)
        best = float(found.component_log_wealth[-1, found.best_component])
        more = {"regret": found.regret, "best component": best, "best mixture": found.best_mixture_log_wealth}
        half = PERIODS // 2
        steady = found.log_wealth - found.component_log_wealth.max(axis=1)
        rows.append({"condition": f"{world}: mixture", "lead": found.lead, "half": float(steady[half]), **more})
        for policy in ("power", "leader", "window"):
            other = universal_mixture(grown, accelerate=policy)
            rows.append({"condition": f"{world}: {policy}", "lead": other.lead, "regret": other.regret})
        paid = universal_mixture(grown, cost=0.001)
        rows.append({"condition": f"{world}: mixture, cost .001", "lead": paid.lead, "regret": paid.regret})
        rows.append({"condition": f"{world}: buy and hold", "lead": float(buy_and_hold(grown)[-1]) - best})
        alone = np.eye(3)[found.best_component]
        rows.append({"condition": f"{world}: best component alone", "lead": float(constant_mixture(grown, alone)[-1]) - best})
    return rows


BOUND = log(comb(PERIODS + 2, 2))
"""The mixture's regret is never larger."""
_MIXTURE, _DOMINATED = (value(f"{world}: mixture") for world in ("reverting", "one dominates"))
CHECKS = (
    claim("reverting: mixture - best component", _MIXTURE, at_least(0.25)),
    claim("one dominates: best component - mixture", -_DOMINATED, between(0, BOUND)),
    claim(
        "regret against the best constant mixture, both worlds",
        joined(*(value(f"{world}: mixture", "regret") for world in ("reverting", "one dominates"))),
        between(-1e-6, BOUND),
    ),
    invariant("reverting: buy and hold - best component", value("reverting: buy and hold"), at_most(0)),
    invariant("reverting: one component always - best component", value("reverting: best component alone"), within(1e-9)),
    report("reverting: lead at half the time", value("reverting: mixture", "half")),
    *(
        report(f"{world}: {policy} - mixture", gap(f"{world}: {policy}", f"{world}: mixture"))
        for world in ("reverting", "one dominates")
        for policy in ("power", "leader", "window", "mixture, cost .001")
    ),
)

EXPERIMENT = Experiment(
    claim="a universal mixture outgrows every component where they fluctuate (+), and stays within its bound of the best elsewhere",
    data="made: three components of 3,000 periods, around a common walk or with one that dominates",
    run=run,
    checks=CHECKS,
    columns=("lead", "regret", "best component", "best mixture"),
)
