"""45 INSET: a learned chooser of subsets needs to see the pool that a subset comes from."""

from __future__ import annotations

import numpy as np

from ...networks import seeded
from ...outputs.chooser.subset_chooser import SubsetChooser
from ...outputs.chooser.subsets import mean_jaccard, top
from ...outputs.predictions.intake import make_pool
from ...outputs.predictions.learners.greedy import greedy
from ...outputs.predictions.member_features import make_pools
from ...outputs.predictions.metrics import METRICS
from ..harness.checks import at_least, below, claim, control, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, overall, value
from ..harness.rows import Row
from ..worlds.pools import library, minority, moons

SMALL = {"width": 32, "hidden": 64, "samples": 3, "rank": 3, "rate": 2e-3, "batch": 16}
WAYS = {"INSET": "complement", "EquiVSet": "none", "additive": "superset_additive", "inside": "superset"}


def run(seed: int) -> list[Row]:
    """Both tasks with and without background, then a library of real classifiers."""
    rows: list[Row] = []
    with seeded(seed, single_thread=True):
        random = np.random.default_rng(seed)
        centres = 1.2 * random.standard_normal((6, 6))
        tasks = {
            "minority": (25, [minority(random, centres, n) for n in (500, 100, 200)]),
            "moons": (20, [moons(random, n) for n in (400, 100, 200)]),
        }
        for task, (epochs, (train, validation, test)) in tasks.items():
            sizes = test[1].sum(axis=1).astype(int)
            for way, background in WAYS.items():
                if task == "moons" and way in ("additive", "inside"):
                    continue
                chooser = SubsetChooser(background=background, epochs=epochs, patience=epochs, seed=seed, **SMALL)
                q = chooser.fit(*train, validation=validation).marginals(test[0])
                rows.append({"condition": f"{task}: {way}", "jaccard": mean_jaccard(top(q, sizes), test[1])})
            blind = random.random(test[1].shape)
            rows.append({"condition": f"{task}: at random", "jaccard": mean_jaccard(top(blind, sizes), test[1])})
        rows += real_pools(seed)
    return rows


def real_pools(seed: int) -> list[Row]:
    """Log loss of the mean of three chosen of eight, less that of the best three: the learned chooser, greedy selection, the three best
    alone, chance. Members of test pools were never in a training pool; all choose on one half of the rows and are judged on the other."""
    models, y = library(seed)
    names = list(models)
    # a third of the rows judges the choices, and no choice sees it
    ours, apart = np.arange(len(y)) < 2 * len(y) // 3, np.arange(len(y)) >= 2 * len(y) // 3
    train = make_pools({n: models[n][ours] for n in names[:32]}, y[ours], count=200, seed=seed)
    test = make_pools({n: models[n][ours] for n in names[32:]}, y[ours], count=40, seed=seed + 1)
    chooser = SubsetChooser(epochs=15, patience=15, seed=seed, **SMALL).fit(train[0], train[1])
    random, loss = np.random.default_rng(seed), METRICS["log_loss"]
    totals: dict[str, list[float]] = {way: [] for way in ("best three", "chosen", "greedy", "three best alone", "at random")}
    for features, marks, pool_names in zip(*test, strict=True):
        stack = np.stack([models[name] for name in pool_names])
        pool, codes, _ = make_pool({name: models[name][ours] for name in pool_names}, y[ours])
        weights = np.array(greedy(pool, codes, loss).rule.weights)
        picks = {
            "best three": marks / 3,
            "chosen": np.isin(np.arange(8), chooser.choose(features, 3)) / 3,
            "greedy": weights,
            "three best alone": np.isin(np.arange(8), np.argsort(features[:, 10])[:3]) / 3,
            "at random": np.isin(np.arange(8), random.choice(8, 3, replace=False)) / 3,
        }
        for way, share in picks.items():
            totals[way].append(loss.loss(y[apart], np.tensordot(share, stack[:, apart], axes=1)))
    least = float(np.mean(totals["best three"]))
    return [{"condition": f"digits: {way}", "excess": float(np.mean(values)) - least} for way, values in totals.items()]


_FEW = gap("minority: INSET", "minority: EquiVSet")
CHECKS = (
    claim("minority: INSET - EquiVSet", _FEW, at_least(0.03)),
    claim("minority: INSET - EquiVSet, mean", overall(np.mean, _FEW), at_least(0.05)),
    claim("moons: INSET - EquiVSet", gap("moons: INSET", "moons: EquiVSet"), at_least(0.03)),
    control(
        "minority: background added outside - EquiVSet, mean",
        overall(np.mean, gap("minority: additive", "minority: EquiVSet")),
        below(0.03),
    ),
    report("minority: background inside - EquiVSet", gap("minority: inside", "minority: EquiVSet")),
    *(
        report(f"digits, three of eight: {way} - oracle, log loss", value(f"digits: {way}", "excess"))
        for way in ("chosen", "greedy", "three best alone", "at random")
    ),
)

EXPERIMENT = Experiment(
    claim="a chooser that sees what a subset leaves behind finds it better than one that sees the subset alone (+)",
    data="made: rare elements among usual ones, two tasks; real: small classifiers of scikit-learn's digits as a pool of models",
    run=run,
    checks=CHECKS,
    columns=("jaccard", "excess"),
)
