"""Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks: Davari and Belilovsky 2023, arXiv 2312.06795.

The paper's claim is not seen here. With both scales tuned, its mask (10 % kept below the largest 1 %, per tensor) and task arithmetic are
level: over 21 seeds the mean gain is -0.1 points at three tasks and +0.2 at four. It was to be above 0 at both; it is on seeds 0 to 2, 5 to
7, 11 to 13, 31 to 33 and 41 to 43, and is not on 21 to 23 (-2.4 and -1.7) and 44 to 46 (-1.2 and -1.8). So it is reported, not checked.
The scale frozen after two tasks was to gain 2 points at three and four tasks on every seed. It gained 3 to 12 on seeds 0 to 2, and lost up
to 15 on others. How much goes with the scale that validation picks for task arithmetic at two tasks, anywhere from 0.5 to 1 (correlation
0.6 to 0.8 over 12 seeds), so it says little of the mask. Reported too.

Checked is one half of the mask: without the cut at the top, keeping the largest 10 % gains where tasks conflict, at three and at four.
This was noticed on 15 of the seeds, then held on 41 to 46, which had not been looked at. The cut at the top takes the gain away.

Controls: keeping everything must be task arithmetic to the bit, and a random mask of the same density must lose to it at two tasks. The
scales go to 5 because that mask needs up to 5 at two tasks, and would lose too easily with fewer. Reported too: rows as units, and one
masked expert.
"""

from __future__ import annotations

from typing import Any

import torch

from ...engine.members import prepare
from ..harness.checks import above, below, claim, control, exactly, invariant, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, value
from ..harness.rows import Row
from ..worlds.classifiers import Suite, mean_accuracy
from ..worlds.digits import make_suite

COUNTS = (2, 3, 4, 6, 8)
SCALES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0, 5.0)
WAYS: dict[str, dict[str, Any]] = {
    "task arithmetic": {"method": "task_arithmetic"},
    "breadcrumbs": {"method": "breadcrumbs", "density": 0.1, "gamma": 0.01},
    "no cut at the top": {"method": "breadcrumbs", "density": 0.1, "gamma": 0.0},
    "within rows": {"method": "breadcrumbs", "density": 0.1, "gamma": 0.01, "unit": "row"},
    "random mask": {"method": "dare_linear", "density": 0.1, "rescale": False},
}


def run(seed: int) -> list[Row]:
    """Accuracy over the first n tasks, with the scale tuned at two tasks and kept, and with the scale tuned at n."""
    suite = make_suite(seed)
    rows: list[Row] = [{"condition": f"base, n={n}", "frozen": mean_accuracy(suite.base, suite.test[:n])} for n in COUNTS]
    for name, options in WAYS.items():
        frozen = None
        for n in COUNTS:
            prepared = _prepared(suite, n, options)
            tuned = max(SCALES, key=lambda scale: mean_accuracy(prepared.at(scale), suite.validation[:n]))
            frozen = frozen or tuned
            scores = {word: mean_accuracy(prepared.at(scale), suite.test[:n]) for word, scale in (("frozen", frozen), ("tuned", tuned))}
            rows.append({"condition": f"{name}, n={n}", **scores, "scale": tuned})
    alone = _prepared(suite, 1, WAYS["breadcrumbs"]).at(1.0)
    rows.append({"condition": "one expert", "frozen": mean_accuracy(suite.experts[0], suite.test[:1])})
    rows.append({"condition": "one expert, masked", "frozen": mean_accuracy(alone, suite.test[:1])})
    return [*rows, {"condition": "keeping everything", "same": float(_keeps_everything(suite))}]


def _prepared(suite: Suite, n: int, options: dict[str, Any]) -> Any:
    return prepare(suite.experts[:n], base=suite.base, **options)


def _keeps_everything(suite: Suite) -> bool:
    """Whether breadcrumbs without cuts is task arithmetic to the bit."""
    whole = _prepared(suite, 4, {"method": "breadcrumbs", "density": 1.0, "gamma": 0.0}).direction
    plain = _prepared(suite, 4, WAYS["task arithmetic"]).direction
    return all(torch.equal(whole[name], plain[name]) for name in plain)


CHECKS = (
    *(
        claim(
            f"no cut at the top - task arithmetic, tuned, n={n}",
            gap("no cut at the top", "task arithmetic", "tuned", at=f"n={n}"),
            above(0, "on average"),
        )
        for n in (3, 4)
    ),
    invariant("without cuts it is task arithmetic", value("keeping everything", "same"), exactly(1)),
    control("random mask - task arithmetic, n=2", gap("random mask", "task arithmetic", "tuned", at="n=2"), below(0)),
    *(
        report(f"breadcrumbs - task arithmetic, scale of two tasks, n={n}", gap("breadcrumbs", "task arithmetic", "frozen", at=f"n={n}"))
        for n in COUNTS[1:]
    ),
    *(report(f"breadcrumbs - task arithmetic, tuned, n={n}", gap("breadcrumbs", "task arithmetic", "tuned", at=f"n={n}")) for n in COUNTS),
    *(
        report(f"{name} - breadcrumbs, n=4, tuned", gap(name, "breadcrumbs", "tuned", at="n=4"))
        for name in ("no cut at the top", "within rows")
    ),
    report("one masked expert - itself", gap("one expert, masked", "one expert")),
)

EXPERIMENT = Experiment(
    claim="dropping the many smallest changes makes the sum better than task arithmetic (+), both tuned; the cut at the top does not help",
    data="real: scikit-learn's digits under the eight symmetries of the square, experts fine-tuned here",
    run=run,
    checks=CHECKS,
    columns=("frozen", "tuned", "same"),
)
