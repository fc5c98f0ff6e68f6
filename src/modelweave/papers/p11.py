"""11 Phikon-v2: the mean of many small heads, each fitted without one fold, against one head fitted once on everything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .harness import Check, Experiment, Row
from .suite import quiet_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASKS = 2
SHOTS = 3
SIZES = (1, 5, 10, 25)


def make_cohort(seed: int, task: int, count: int, *, shift: float) -> tuple[list[NDArray[Any]], NDArray[np.intp]]:
    """Slides of 24 tiles in 24 dimensions; 3 to 7 tiles of positive ones and 0 to 2 of negative ones are moved by 2.5 along a direction
    of the task. shift: of the whole cohort along another one, as by a stain that differs between hospitals."""
    directions = np.random.default_rng([seed, task]).standard_normal((2, 24))
    signal, stain = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    random = np.random.default_rng([seed, task, count])
    y = random.integers(0, 2, count)
    slides = []
    for label in y:
        tiles = random.standard_normal((24, 24)) + 0.5 * random.standard_normal(24) + shift * stain
        tiles[: random.integers(3, 8) if label else random.integers(0, 3)] += 2.5 * signal
        slides.append(tiles)
    return slides, y


def run(seed: int) -> list[Row]:
    """Two tasks: ensemble, one-shot heads, single members; the same with labels at random; copies of one head."""
    from ..outputs.bags.bag_classifier import BagClassifier
    from ..outputs.bags.compare_encoders import one_shots
    from ..outputs.estimators.repeated_folds import RepeatedFoldClassifier
    from ..outputs.predictions.metrics import METRICS
    from ..outputs.predictions.verdict import gain_interval

    auc, head = METRICS["roc_auc"], BagClassifier(16, epochs=30, rate=3e-3)
    rows: list[Row] = []
    with quiet_torch(seed):
        for task in range(TASKS):
            bags, y = make_cohort(seed, task, 100, shift=0)
            new, truth = make_cohort(seed, task, 400, shift=1)
            found = RepeatedFoldClassifier(head, random_state=seed).fit(bags, y)
            members = [p[:, 1] for p in found.predict_members(new)]
            whole = found.predict_proba(new)[:, 1]
            shots = one_shots(head, bags, y, new, SHOTS, seed)
            loss = METRICS["log_loss"]
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


def judge(rows: Sequence[Row]) -> list[Check]:
    """Over all tasks and seeds."""
    from ..statistics.significance import sign_test

    def each(first: str, second: str | None = None) -> tuple[float, ...]:
        return tuple(row[first] - (row[second] if second else 0) for row in rows)

    gains = each("ensemble", "one shot")
    wins = sum(gain > 0 for gain in gains) / len(gains)
    steps = [float(np.mean(each(f"of {b}", f"of {a}"))) for a, b in pairwise(SIZES)]
    blind = each("labels at random")
    return [
        Check("ensemble - one shot, external AUC, mean", ">= +0.010", (_mean(gains),), _mean(gains) >= 0.010),
        Check("share of tasks where the ensemble wins", ">= 5/6", (wins,), wins >= 5 / 6),
        Check("AUC by size, 1 to 5 to 10 to 25: steps", ">= -0.001", tuple(steps), min(steps) >= -0.001),
        Check("mean log loss of members - the ensemble's", ">= 0 each", each("jensen"), min(each("jensen")) >= 0),
        Check("25 times the same head - that head", "0", each("copies"), max(map(abs, each("copies"))) < 1e-12, "control"),
        Check("labels at random: AUC, mean", "0.50 +- 0.06", (_mean(blind),), abs(_mean(blind) - 0.5) <= 0.06, "control"),
        Check("ensemble - one shot, each task", "no claim", gains, True, "report"),
        Check("ensemble - mean member", "no claim", each("ensemble", "one member"), True, "report"),
        Check("sign test of the gains, one-sided p", "no claim", (sign_test(gains),), True, "report"),
        Check("ensemble - first one shot, lower end of the paired interval", "no claim", each("lowest"), True, "report"),
        Check("labels at random: AUC, each task", "no claim", blind, True, "report"),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


EXPERIMENT = Experiment(
    paper=11,
    claim="the mean of 25 heads from 5 x 5 folds beats one head trained once on all patients, on an external cohort (+)",
    data="made: slides of 24 tiles with a hidden direction; the external cohort is shifted along another one",
    run=run,
    judge=judge,
    columns=("ensemble", "one shot", "one member", "of 5", "of 25", "out of fold", "correlation"),
)
