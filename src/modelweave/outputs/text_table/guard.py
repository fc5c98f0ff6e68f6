"""A trial of the second level on rows held out, before it is trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...errors import CompatibilityError
from ..predictions.blended import Blend
from .leak import find_leak
from .stack import BLEND, Array, Guard, Plan, fit_stack
from .stacking import Feed, Node, Problem, narrow, predict_nodes
from .weights import weigh


def try_stacking(plan: Plan, table: pd.DataFrame, problem: Problem, *, feed: Feed = "out_of_fold") -> Guard:
    """Fit two levels on most rows, and see on those held out whether the second helps.

    The rows are held out by the same rules as the folds: groups whole, later in time. Of the nodes with and without a second level
    below them, each kind's ensemble among them, the best by out-of-fold score are compared there. Predictions that look better on
    the rows learnt from than on new ones (`find_leak`) rule the second level out, too.

    Source: dynamic stacking of AutoGluon, whose issue 2779 reports a level 2 that is better out-of-fold and worse on new rows on
    about a quarter of 244 data sets.
    """
    try:
        held = problem.holdout(plan.split)
        part, new = problem.take(held.train), problem.take(held.test)
        trial = fit_stack(plan, table.iloc[held.train].reset_index(drop=True), part, feed=feed)
    except CompatibilityError as error:
        return Guard(False, f"a trial of level 2 was not possible ({error})")
    lower = [node for node in trial.nodes if node.level == 1]
    upper = [node for node in trial.nodes if node.level > 1]
    if not upper:
        return Guard(False, "no fold of level 2 has rows to learn from")
    rows = table.iloc[held.test].reset_index(drop=True)
    said = predict_nodes(trial.nodes, rows, problem.labels)
    feeding = {name for node in upper for name in node.inputs}
    leaks = tuple(
        find_leak(node.name, narrow(fed), part.y, narrow(said[node.name]), new.y)
        for node in lower
        if node.name in feeding
        for fed in [_as_fed(node, table.iloc[held.train], part, feed)]
    )
    flagged = [leak.name for leak in leaks if leak.flagged]
    assert trial.blend is not None
    plain = weigh(lower, part, plan.split)
    scores = {kind: _best(nodes, ensemble, said, part, new) for kind, nodes, ensemble in (("un", lower, plain), ("", upper, trial.blend))}
    unstacked, stacked = scores["un"], scores[""]
    better = stacked > unstacked if problem.metric.gain else stacked < unstacked
    told = f"{problem.metric.name} {stacked:.4f} with level 2 and {unstacked:.4f} without, on {len(new.y):,} rows held out"
    if flagged:
        return Guard(False, f"predictions of {', '.join(flagged)} flatter the rows level 2 learns from; {told}", unstacked, stacked, leaks)
    return Guard(bool(better), told, unstacked, stacked, leaks)


def _as_fed(node: Node, table: pd.DataFrame, problem: Problem, feed: Feed) -> Array:
    return node.found.predictions if feed == "out_of_fold" else predict_nodes([node], table, problem.labels)[node.name]


def _best(nodes: Sequence[Node], ensemble: Blend, said: dict[str, Array], part: Problem, new: Problem) -> float:
    """The score on new rows of the best by out-of-fold score: a node, or the ensemble."""
    known = {node.name: (node.score, said[node.name]) for node in nodes}
    steps = [step.score for step in ensemble.trajectory] or [float("nan")]
    inside = max(steps) if part.metric.gain else min(steps)
    known[BLEND] = (inside, ensemble.predict({name: said[name] for name in ensemble.names}))
    sign = -1 if part.metric.gain else 1
    winner = min(known, key=lambda name: (np.isnan(known[name][0]), sign * known[name][0]))
    return new.score(known[winner][1])
