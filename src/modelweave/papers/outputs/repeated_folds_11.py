"""11 Phikon-v2: the mean of many small heads, each fitted without one fold, against one head fitted once on everything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ...networks import seeded
from ...outputs.bags.bag_classifier import BagClassifier
from ...outputs.bags.compare_encoders import one_shots
from ...outputs.estimators.repeated_folds import RepeatedFoldClassifier
from ...outputs.predictions.metrics import METRICS
from ...outputs.predictions.verdict import gain_interval
from ...statistics.significance import sign_test
from ..harness.checks import at_least, between, claim, control, invariant, report, within
from ..harness.experiment import Experiment
from ..harness.measures import every, joined, overall
from ..harness.rows import Row, Values
from ..worlds.cohorts import make_cohort

TASKS = 2
SHOTS = 3
SIZES = (1, 5, 10, 25)


def run(seed: int) -> list[Row]:
    """Two tasks: ensemble, one-shot heads, single members; the same with labels at random; copies of one head."""
    auc, loss, head = METRICS["roc_auc"], METRICS["log_loss"], BagClassifier(16, epochs=30, rate=3e-3)
    rows: list[Row] = []
    with seeded(seed, single_thread=True):
        for task in range(TASKS):
            bags, y = make_cohort(seed, task, 100, shift=0)
            new, truth = make_cohort(seed, task, 400, shift=1)
            found = RepeatedFoldClassifier(head, random_state=seed).fit(bags, y)
            members = [p[:, 1] for p in found.predict_members(new)]
            whole = found.predict_proba(new)[:, 1]
            shots = one_shots(head, bags, y, new, SHOTS, seed)
            row: Row = {"condition": f"task {task + 1}", "ensemble": auc.score(truth, whole)}
            row["one shot"] = float(np.mean([auc.score(truth, p) for p in shots]))
            row["one member"] = float(np.mean([auc.score(truth, p) for p in members]))
            row["out of fold"] = auc.score(y, found.out_of_fold_[:, 1])
            row["correlation"] = found.member_correlation(new)
            row["jensen"] = float(np.mean([loss.loss(truth, p) for p in members])) - loss.loss(truth, whole)
            gains = found.gain_by_members(new, truth, metric="roc_auc", sizes=SIZES)
            row |= {f"of {size}": gains[size] for size in SIZES}
            row["lowest"] = gain_interval(auc, truth, whole, shots[0], seed=seed)[0]
            same = np.mean([members[0]] * 25, axis=0)
            row["copies"] = auc.score(truth, same) - auc.score(truth, members[0])
            mixed = np.random.default_rng(seed).permutation(y)
            blind = RepeatedFoldClassifier(head, repeats=2, random_state=seed).fit(bags, mixed)
            row["labels at random"] = auc.score(truth, blind.predict_proba(new)[:, 1])
            rows.append(row)
    return rows


def _share_of_wins(gains: Values) -> float:
    return float(np.mean(gains > 0))


_GAINS = every("ensemble") - every("one shot")
CHECKS = (
    claim("ensemble - one shot, external AUC, mean", overall(np.mean, _GAINS), at_least(0.010)),
    claim("share of tasks where the ensemble wins", overall(_share_of_wins, _GAINS), at_least(5 / 6)),
    claim(
        "AUC by size, 1 to 5 to 10 to 25: steps",
        joined(*(overall(np.mean, every(f"of {b}") - every(f"of {a}")) for a, b in pairwise(SIZES))),
        at_least(-0.001),
    ),
    invariant("mean log loss of members - the ensemble's", every("jensen"), at_least(0)),
    invariant("25 times the same head - that head", every("copies"), within(1e-12)),
    control("labels at random: AUC, mean", overall(np.mean, every("labels at random")), between(0.44, 0.56)),
    report("ensemble - one shot, each task", _GAINS),
    report("ensemble - mean member", every("ensemble") - every("one member")),
    report("sign test of the gains, one-sided p", overall(sign_test, _GAINS)),
    report("ensemble - first one shot, lower end of the paired interval", every("lowest")),
    report("labels at random: AUC, each task", every("labels at random")),
)

EXPERIMENT = Experiment(
    claim="the mean of 25 heads from 5 x 5 folds beats one head trained once on all patients, on an external cohort (+)",
    data="made: slides of 24 tiles with a hidden direction; the external cohort is shifted along another one",
    run=run,
    checks=CHECKS,
    columns=("ensemble", "one shot", "one member", "of 5", "of 25", "out of fold", "correlation"),
)
