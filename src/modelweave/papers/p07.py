"""07 Portfolio strategies: a universal mixture keeps up with the best constant mixture, and may outgrow every component."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, log
from typing import TYPE_CHECKING, Any

import numpy as np

from .harness import Check, Experiment, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIODS = 3000


def reverting(seed: int) -> NDArray[Any]:
    """Three components around one random walk (drift 3e-4, deviation .01), each apart from it by an autoregression (.97, .03)."""
    random = np.random.default_rng(seed)
    common = np.cumsum(3e-4 + 0.01 * random.standard_normal(PERIODS))
    shocks = 0.03 * random.standard_normal((PERIODS, 3))
    spread = np.zeros((PERIODS + 1, 3))
    for t in range(PERIODS):
        spread[t + 1] = 0.97 * spread[t] + shocks[t]
    levels = np.r_[0.0, common][:, None] + spread
    return np.asarray(np.exp(np.diff(levels, axis=0)))


def dominated(seed: int) -> NDArray[Any]:
    """Common shocks and drifts of .002, 0 and -.001: the first is best all along."""
    random = np.random.default_rng([seed, 1])
    shocks = 0.01 * random.standard_normal((PERIODS, 1)) + 0.002 * random.standard_normal((PERIODS, 3))
    return np.asarray(np.exp(np.array([0.002, 0, -0.001]) + shocks))


def run(seed: int) -> list[Row]:
    """Both worlds with every policy, and the controls."""
    from ..outputs.portfolios.preference import buy_and_hold, constant_mixture
    from ..outputs.portfolios.universal_mixture import universal_mixture

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


def judge(rows: Sequence[Row]) -> list[Check]:
    """Leads are in log-wealth over the best component."""
    bound = log(comb(PERIODS + 2, 2))

    def each(condition: str, key: str = "lead") -> tuple[float, ...]:
        return tuple(row[key] for row in rows if row["condition"] == condition)

    lead, gap = each("reverting: mixture"), tuple(-x for x in each("one dominates: mixture"))
    regret = each("reverting: mixture", "regret") + each("one dominates: mixture", "regret")
    held = each("reverting: buy and hold")
    alone = each("reverting: best component alone")
    checks = [
        Check("reverting: mixture - best component", ">= +0.25 each", lead, min(lead) >= 0.25),
        Check("one dominates: best component - mixture", f"in [0, {bound:.2f}] each", gap, min(gap) >= 0 and max(gap) <= bound),
        Check(
            "regret against the best constant mixture, both worlds",
            f"in [0, {bound:.2f}]",
            regret,
            min(regret) >= -1e-6 and max(regret) <= bound,
        ),
        Check("reverting: buy and hold - best component", "<= 0 each", held, max(held) <= 0, "control"),
        Check("reverting: one component always - best component", "0", alone, max(map(abs, alone)) < 1e-9, "control"),
        Check("reverting: lead at half the time", "no claim", each("reverting: mixture", "half"), True, "report"),
    ]
    for world in ("reverting", "one dominates"):
        for policy in ("power", "leader", "window", "mixture, cost .001"):
            other, own = each(f"{world}: {policy}"), each(f"{world}: mixture")
            got = tuple(a - b for a, b in zip(other, own, strict=True))
            checks.append(Check(f"{world}: {policy} - mixture", "no claim", got, True, "report"))
    return checks


EXPERIMENT = Experiment(
    paper=7,
    claim="a universal mixture outgrows every component where they fluctuate (+), and stays within its bound of the best elsewhere",
    data="made: three components of 3,000 periods, around a common walk or with one that dominates",
    run=run,
    judge=judge,
    columns=("lead", "regret", "best component", "best mixture"),
)
