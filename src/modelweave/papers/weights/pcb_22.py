"""Parameter Competition Balancing for Model Merging (PCB-Merging): Du et al. 2024, arXiv 2410.02396.

Claim: coefficients for each entry, from its size within its own change and its agreement with the others, beat one scale for all
(task arithmetic), each with its scale tuned on validation data. Entries are ranked over the whole model, as in the authors' code: the
weights are merged as one vector.

Controls: the same shares moved to other places at random must fall below task arithmetic on two experts, since then only the
sparsity is left; and equal shares must give the plain mean. Checked is the form with softmaxes (variant `paper`, whose details were
not compared with the paper's text); the released form is reported beside it.

Two thresholds that were set on a prototype's seeds failed on others, and are reported, not claimed. One is two points over task
arithmetic on two experts alone: seeds 0 to 2 gave 2.2 on average, seeds 5 to 7 gave 1.5. What is claimed, two points over both
numbers of experts together, was stated after these and before seeds 11 to 13, which gave 2.6. The other is less than two points
between PCB and TIES: on four experts TIES was ahead of the paper's form on all nine seeds, by 0.6 to 2.6 points. PCB does not beat
TIES here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...engine.members import Prepared
from ...weights.combine.pcb import pcb, shares
from ...weights.formula import whole
from ...weights.part import Context
from ..harness.checks import above, at_least, at_most, below, claim, control, invariant, report, within
from ..harness.experiment import Experiment
from ..harness.measures import gap, overall, worst
from ..harness.rows import Row
from ..worlds.classifiers import State, Suite, flat, mean_accuracy, prepare_flat, tuned
from ..worlds.digits import make_suite

COUNTS = (2, 4)
DENSITY = 0.2
SWEEP = (0.2, 0.3, 0.5, 0.7, 0.8, 1.0, 1.2, 1.5, 1.8, 2.2)
_WAYS: dict[str, dict[str, Any]] = {
    "task arithmetic": {"method": "task_arithmetic"},
    "TIES": {"method": "ties", "density": DENSITY},
    "PCB, paper": {"method": "pcb", "variant": "paper", "density": DENSITY},
    "PCB, released": {"method": "pcb", "variant": "main", "density": DENSITY},
}


def run(seed: int) -> list[Row]:
    """Accuracy on the tasks of n experts, by method, for n = 2, 4, and with the shares shuffled."""
    suite = make_suite(seed, experts=max(COUNTS))
    rows: list[Row] = []
    for n in COUNTS:
        members = suite.experts[:n]
        rows.append({"condition": f"base, n={n}", "accuracy": mean_accuracy(suite.base, suite.test[:n])})
        rows += [_tuned(suite, n, name, prepare_flat(members, suite.base, **options)) for name, options in _WAYS.items()]
        for word, variant in (("paper", "paper"), ("released", "main")):
            base = flat(suite.base)
            shuffled, apart = without_places([flat(member) for member in members], base, seed, variant)
            rows.append({**_tuned(suite, n, f"PCB, {word}, shares shuffled", Prepared(base, shuffled)), "gap": apart})
    return rows


def _tuned(suite: Suite, n: int, name: str, prepared: Prepared) -> Row:
    scale, merged = tuned(prepared, SWEEP, suite, range(n))
    return {"condition": f"{name}, n={n}", "accuracy": mean_accuracy(merged, suite.test[:n]), "scale": scale}


def without_places(members: Sequence[State], base: State, seed: int, variant: str) -> tuple[State, float]:
    """The direction with each member's shares shuffled over the entries; and how far equal shares are from the plain mean, relatively."""
    deltas = torch.stack([m["all"] - base["all"] for m in members]).double()
    options = ({"density": DENSITY, "weight": 1.0},) * len(members)
    context = whole(pcb, deltas, Context("all", tuple(deltas.shape[1:]), options), variant=variant)
    kept, values = (torch.stack(rows) for rows in shares(deltas, context, variant=variant))
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.stack([row[torch.randperm(len(row), generator=generator)] for row in kept])
    mean = values.mean(0)
    gap = (_share_mean(torch.full_like(kept, 0.3), values) - mean).abs().max() / mean.abs().max()
    return {"all": _share_mean(shuffled, values).float()}, float(gap)


def _share_mean(kept: Tensor, values: Tensor) -> Tensor:
    return (kept * values).sum(0) / kept.sum(0).clamp(min=1e-300)


CHECKS = (
    *(claim(f"paper's form - task arithmetic, n={n}", gap("PCB, paper", "task arithmetic", at=f"n={n}"), above(0)) for n in COUNTS),
    claim(
        "paper's form - task arithmetic, mean over all",
        overall(np.mean, *(gap("PCB, paper", "task arithmetic", at=f"n={n}") for n in COUNTS)),
        at_least(0.02),
    ),
    report("paper's form - task arithmetic, n=2, mean", overall(np.mean, gap("PCB, paper", "task arithmetic", at="n=2")), at_least(0.02)),
    control("shares shuffled - task arithmetic, n=2", gap("PCB, paper, shares shuffled", "task arithmetic", at="n=2"), below(0)),
    invariant("equal shares against the plain mean, largest difference", worst("gap"), at_most(1e-6)),
    *(
        check
        for at in (f"n={n}" for n in COUNTS)
        for check in (
            report(f"paper's form - TIES, {at}", gap("PCB, paper", "TIES", at=at), within(0.02)),
            report(f"released form - task arithmetic, {at}", gap("PCB, released", "task arithmetic", at=at)),
            report(f"released form - TIES, {at}", gap("PCB, released", "TIES", at=at)),
        )
    ),
    report("released form, shares shuffled - task arithmetic, n=2", gap("PCB, released, shares shuffled", "task arithmetic", at="n=2")),
    report("shares shuffled - task arithmetic, n=4", gap("PCB, paper, shares shuffled", "task arithmetic", at="n=4")),
)

EXPERIMENT = Experiment(
    claim="coefficients for each entry, by size and agreement, beat task arithmetic (+), both tuned",
    data="real: scikit-learn's digits under the eight symmetries of the square, experts fine-tuned here",
    run=run,
    checks=CHECKS,
    columns=("accuracy", "scale"),
)
