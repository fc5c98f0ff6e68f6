"""Greedy weights over the predictions of fitted members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..predictions.blend import blend
from ..predictions.blended import Blend
from ..predictions.metrics import METRICS
from ..splits import Split
from .stacking import Node, Problem, covered


def weigh(nodes: Sequence[Node], problem: Problem, split: Split, *, calibrate: bool = False, hold_out: bool = False) -> Blend:
    """Greedy weights over the nodes' out-of-fold predictions, as AutoGluon chooses them; calibrate: with a temperature."""
    values = {node.name: node.found.predictions for node in nodes}
    rows = np.flatnonzero(np.all([covered(p) for p in values.values()], axis=0))
    problem = problem.take(rows)
    known = problem.known
    groups, moments = known.groups, known.time
    folds = split.folds
    if moments is not None:
        order = np.argsort(moments, kind="stable")
        rows, problem = rows[order], problem.take(order)
        known, moments = problem.known, moments[order]
        groups = known.groups
        moments = moments if len(np.unique(moments)) > folds else None
    if groups is not None:
        units = len(np.unique(groups))
        folds, groups = (min(folds, units), groups) if units > 1 else (folds, None)
    return blend(
        {name: p[rows] for name, p in values.items()},
        problem.y,
        method="greedy",
        preset="autogluon",
        metric=problem.metric.name if problem.metric.name in METRICS else problem.metric,
        provenance="hold_out" if hold_out else "out_of_fold",
        labels=list(range(problem.classes)) if problem.classes else None,
        groups=groups,
        time=moments,
        sample_weight=known.weight,
        folds=Split(min(folds, max(len(rows), 2)), seed=split.seed),
        calibration="blend" if calibrate and problem.classes else "none",
        seed=split.seed,
    )
