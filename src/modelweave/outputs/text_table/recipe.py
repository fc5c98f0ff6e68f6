"""One member, weighted members, or a stack with a guard: from a table to what predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from .guard import try_stacking
from .named import Chosen
from .stack import Fitted, Plan, fit_stack, needed
from .stacking import Node, Problem, covered, fit_level, fit_on_all, with_predictions
from .weights import weigh


def fit_plan(plan: Plan, table: pd.DataFrame, problem: Problem) -> Fitted:
    """Fit what the plan's mode says."""
    if plan.mode == "single":
        return _single(plan, table, problem)
    if plan.mode == "weighted":
        folds = [problem.holdout(plan.split)]
        nodes = fit_level(plan.members, table, plan.types, problem, folds, n_jobs=plan.n_jobs)
        found = Fitted(tuple(nodes), weigh(nodes, problem, plan.split, calibrate=plan.calibrate, hold_out=True))
        return _refitted(plan, found, table, problem) if plan.refit_full else found
    guard = None
    if plan.guard and plan.stackers:
        guard = try_stacking(plan, table, problem)
    two = bool(plan.stackers) and (guard is None or guard.kept)
    found = replace(fit_stack(plan, table, problem, levels=2 if two else 1), guard=guard)
    return _refitted(plan, found, table, problem) if plan.refit_full else found


def _single(plan: Plan, table: pd.DataFrame, problem: Problem) -> Fitted:
    """The best member on a hold-out, fitted on all rows; with one member there is nothing to choose."""
    members = list(plan.members)
    score = float("nan")
    if len(members) > 1:
        tried = fit_level(members, table, plan.types, problem, [problem.holdout(plan.split)], n_jobs=plan.n_jobs)
        sign = -1 if problem.metric.gain else 1
        place = min(range(len(tried)), key=lambda i: (np.isnan(tried[i].score), sign * tried[i].score))
        members, score = [members[place]], tried[place].score
    node = fit_on_all(members[0], table, plan.types, problem)
    return Fitted((replace(node, score=score),), None)


def _refitted(plan: Plan, found: Fitted, table: pd.DataFrame, problem: Problem) -> Fitted:
    """One model on all rows in place of each bag that is used; scores, weights and out-of-fold predictions stay."""
    assert found.blend is not None
    used = needed(found.nodes, [name for name, weight in found.blend.weights.items() if weight > 0])
    members: dict[str, Chosen] = {member.name: member for member in plan.members}
    members |= {f"{member.name}, level 2": member for member in plan.stackers}
    known = {node.name: node for node in found.nodes}
    return replace(
        found,
        nodes=tuple(
            _one_model(node, members[node.name], [known[name] for name in node.inputs], plan, table, problem) if node.name in used else node
            for node in found.nodes
        ),
    )


def _one_model(node: Node, member: Chosen, lower: Sequence[Node], plan: Plan, table: pd.DataFrame, problem: Problem) -> Node:
    """The node with one model on all rows that the nodes below cover."""
    types, rows = plan.types, np.arange(len(table))
    if lower:
        fed = {node.name: node.found.predictions for node in lower}
        table, columns = with_predictions(table, fed)
        types = types.with_numbers(columns)
        rows = np.flatnonzero(np.all([covered(p) for p in fed.values()], axis=0))
    one = fit_on_all(member, table.iloc[rows].reset_index(drop=True), types, problem.take(rows))
    found = replace(node.found, models=one.found.models)
    return replace(node, found=found, fit_seconds=node.fit_seconds + one.fit_seconds, predict_seconds=one.predict_seconds)
