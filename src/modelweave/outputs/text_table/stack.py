"""What to fit, and what comes out: bags of members, bags over them, and the weights of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..leak import Leak
from ..predictions.blended import Blend
from ..splits import Split
from .column_types import ColumnTypes
from .named import Chosen
from .stacking import Feed, Node, Problem, feeders, fit_level, fit_upper_level, predict_nodes
from .weights import weigh

Array = NDArray[Any]
Mode = Literal["single", "weighted", "stack"]
BLEND = "weighted ensemble"


@dataclass(frozen=True)
class Plan:
    """What to fit. stackers: members of the second level. calibrate: whether a temperature is fitted."""

    members: Sequence[Chosen]
    stackers: Sequence[Chosen]
    types: ColumnTypes
    split: Split
    mode: Mode = "stack"
    guard: bool = True
    calibrate: bool = False
    refit_full: bool = False
    n_jobs: int | None = None


@dataclass(frozen=True)
class Guard:
    """Whether the second level stays. unstacked, stacked: scores on rows held out of the trial. leaks: of each node that feeds it."""

    kept: bool
    reason: str
    unstacked: float = float("nan")
    stacked: float = float("nan")
    leaks: tuple[Leak, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """nodes: of all levels. blend: their weights, None for a single member. guard: None where none was asked for."""

    nodes: tuple[Node, ...]
    blend: Blend | None
    guard: Guard | None = None

    def predict(self, table: pd.DataFrame, labels: Array | None) -> Array:
        """(rows, classes), or numbers; only the nodes that have a weight, and those they read, are asked."""
        if self.blend is None:
            return predict_nodes(self.nodes, table, labels)[self.nodes[0].name]
        weights = self.blend.weights
        wanted = [name for name, weight in weights.items() if weight > 0]
        found = predict_nodes(self.nodes, table, labels, wanted)
        # what has no weight takes no time, and any numbers will do for it
        like = found[wanted[0]]
        return self.blend.predict({name: found[name] if weight > 0 else like for name, weight in weights.items()})

    def rows(self, problem: Problem) -> list[dict[str, Any]]:
        """The leaderboard: the ensemble and every node, the best first."""
        weights = {node.name: 1.0 for node in self.nodes} if self.blend is None else dict(self.blend.weights)
        found: list[dict[str, Any]] = [
            {
                "member": node.name,
                "level": node.level,
                "score": node.score,
                "weight": weights.get(node.name, 0.0),
                "fit seconds": node.fit_seconds,
                "predict seconds": node.predict_seconds,
            }
            for node in self.nodes
        ]
        if self.blend is not None:
            used = needed(self.nodes, [name for name, weight in weights.items() if weight > 0])
            cost = {key: sum(row[key] for row in found if row["member"] in used) for key in ("fit seconds", "predict seconds")}
            level = max(node.level for node in self.nodes) + 1
            own = problem.score(self.blend.predict({node.name: node.found.predictions for node in self.nodes}))
            found.append({"member": BLEND, "level": level, "score": own, "weight": 1.0, **cost})
        sign = -1 if problem.metric.gain else 1
        return sorted(found, key=lambda row: (np.isnan(row["score"]), sign * row["score"], row["level"]))


def fit_stack(plan: Plan, table: pd.DataFrame, problem: Problem, *, levels: int = 2, feed: Feed = "out_of_fold") -> Fitted:
    """Bags of members, with two levels bags over them, and the weights of all."""
    folds = problem.folds(plan.split)
    nodes = fit_level(plan.members, table, plan.types, problem, folds, n_jobs=plan.n_jobs)
    if levels == 2:
        lower = feeders(nodes, problem.metric, len(table))
        nodes += fit_upper_level(plan.stackers, table, plan.types, problem, lower, feed=feed, n_jobs=plan.n_jobs)
    return Fitted(tuple(nodes), weigh(nodes, problem, plan.split, calibrate=plan.calibrate))


def needed(nodes: Sequence[Node], wanted: Sequence[str]) -> set[str]:
    """The wanted nodes and those they read."""
    by_name = {node.name: node for node in nodes}
    return set(wanted) | {name for wish in wanted for name in by_name[wish].inputs}
