"""Whether stacking is worth it, asked of rows that no level has seen; and which members' predictions were not honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from ..leak import find_leak
from ..predictions.blend import FEWEST
from ..predictions.metrics import Metric, metric_named
from ..predictions.pool import covered
from ..predictions.verdict import gain_interval
from ..splits import Fold
from .cross_validation import hold_out
from .folds import cut_params, mean_predictions
from .table import Table
from .tower import Level, Tower, TowerPlan, finish, fit_levels, fitted_models, spoken

Array = NDArray[Any]


@dataclass(frozen=True)
class Guard:
    """What rows that no level has seen say.

    stacked, unstacked: scores of the two ways there. in_validation: the same by out-of-fold predictions, which is what one would
    have gone by without. gain: by how much stacking lowers the loss, with a 95 % interval.
    judged: whether there were such rows. stacks: whether to stack: only where it is judged and better, and no suspect stays.
    leak: stacking looked better in validation and is surely worse. suspects: members that are far better out of fold than on
    unseen rows, by `find_leak`, with both scores. dropped: those of them that are left out, since without them unseen rows come
    out better.
    """

    metric: str
    stacks: bool
    judged: bool
    sentence: str
    rows: int = 0
    stacked: float | None = None
    unstacked: float | None = None
    in_validation: tuple[float, float] | None = None
    gain: float | None = None
    interval: tuple[float, float] | None = None
    leak: bool = False
    suspects: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    held_out: Array = field(default_factory=lambda: np.zeros(0, np.intp), repr=False)

    def __str__(self) -> str:
        return self.sentence

    @property
    def kept(self) -> bool:
        """The same as `stacks`."""
        return self.stacks

    @property
    def reason(self) -> str:
        """The same as `sentence`."""
        return self.sentence


@dataclass(frozen=True)
class _Trial:
    """Both ways, fitted on a part and scored on the other."""

    losses: tuple[float, float]
    in_validation: tuple[float, float]
    interval: tuple[float, float]
    suspects: dict[str, tuple[float, float]]


def guard(plan: TowerPlan, table: Table, metric: str | Metric | None) -> Guard:
    """Hold out a part by the rules of the folds, fit both ways on the rest, and compare them there.

    Members that are far better out of fold than on the part are suspects: both ways are tried without them, too. Where one stays all
    the same, nothing is stacked on it; nor where a trial is not possible, for want of rows, groups or moments.
    Source: the hold-out check of AutoGluon's dynamic stacking, whose issue 2779 reports a level 2 that is better out of fold and worse
    on new rows on about a quarter of 244 data sets; Shi et al. 2021 (arXiv 2111.02705) for the levels.
    """
    chosen = metric_named(metric, table.task)
    if len(plan.levels) == 1:
        return Guard(chosen.name, False, False, "not judged: one level is not stacked")
    try:
        learn, held, folds = hold_out(table.split, table.folds, table.y, table.classes is not None, table.about)
        why = _too_little(held, table, chosen)
        trial = None if why else _try(plan, table, learn, held, folds, chosen)
    except CompatibilityError as error:
        why, trial = str(error), None
    if trial is None:
        return Guard(chosen.name, False, False, f"not judged: {why}; the blend is kept")
    others = tuple(member.name for member in plan.levels[0] if member.name not in trial.suspects)
    dropped: tuple[str, ...] = ()
    suspects = trial.suspects
    if suspects and others:
        without = _try(only_members(plan, others), table, learn, held, folds, chosen)
        if min(without.losses) < min(trial.losses):
            trial, dropped = without, tuple(suspects)
    return _report(trial, chosen, held, suspects, dropped)


def _too_little(held: Array, table: Table, metric: Metric) -> str:
    if len(held) < FEWEST:
        return f"{len(held)} rows held out are too few (fewer than {FEWEST})"
    if table.about.groups is not None and len(np.unique(table.about.groups[held])) < 2:
        return "the rows held out are of one group, which err together"
    if metric.needs_classes and len(np.unique(table.y[held])) < 2:
        return f"the rows held out are of one class, and {metric.name} needs two"
    return ""


def only_members(plan: TowerPlan, names: Sequence[str]) -> TowerPlan:
    """The same with some of the members; those of upper levels that bear the name of one left out go, too."""
    known = {member.name for member in plan.levels[0]}
    gone = known - set(names)
    ends = len(plan.levels) - 1 if plan.final else len(plan.levels)
    levels = tuple(
        tuple(member for member in level if number >= ends or member.name not in gone) for number, level in enumerate(plan.levels)
    )
    return replace(plan, levels=tuple(level for level in levels if level))


def _try(plan: TowerPlan, table: Table, learn: Array, held: Array, folds: tuple[Fold, ...], metric: Metric) -> _Trial:
    inside = table.take(learn, folds)
    cut = replace(
        plan, levels=tuple(tuple(replace(m, params=cut_params(m.params, learn, len(table.y))) for m in level) for level in plan.levels)
    )
    levels = fit_levels(cut, inside, len(cut.levels))
    ways = finish(cut, inside, levels), finish(cut, inside, levels[:1])
    unseen = table.take(held)
    truth, about = unseen.codes, unseen.about
    said = [table.narrow(way.predict(unseen.X, about.segments)) for way in ways]
    losses = metric.loss(truth, said[0], about.weight), metric.loss(truth, said[1], about.weight)
    interval = gain_interval(metric, truth, said[0], said[1], weight=about.weight, groups=about.groups, seed=plan.seed)
    seen = _seen(ways[0], levels, inside, metric), _seen(ways[1], levels[:1], inside, metric)
    return _Trial(losses, seen, interval, _suspects(cut, inside, levels[0], unseen, metric))


def _seen(way: Tower, levels: Sequence[Level], table: Table, metric: Metric) -> float:
    """The loss of the ensemble on its members' out-of-fold predictions."""
    p = table.narrow(way.together(spoken(levels, way.final), table.about.segments))
    there = covered(p)
    return metric.loss(table.codes[there], p[there], table.about.take(there).weight)


def _suspects(plan: TowerPlan, table: Table, level: Level, unseen: Table, metric: Metric) -> dict[str, tuple[float, float]]:
    """Members of the first level whose loss on unseen rows is far above that out of fold, with both scores."""
    found = {}
    for name, one in level.found.items():
        now = mean_predictions(fitted_models(plan, table, level, name), unseen.X, table.classes)
        groups, new_groups = table.about.groups, unseen.about.groups
        if find_leak(name, one.predictions, table.codes, now, unseen.codes, groups=groups, new_groups=new_groups).flagged:
            found[name] = table.score(one.predictions, metric), unseen.score(now, metric)
    return found


def _report(trial: _Trial, metric: Metric, held: Array, suspects: dict[str, tuple[float, float]], dropped: tuple[str, ...]) -> Guard:
    gain = trial.losses[1] - trial.losses[0]
    looked = trial.in_validation[1] - trial.in_validation[0]
    low, high = trial.interval
    stacked, unstacked = map(metric.of_loss, trial.losses)
    seen = metric.of_loss(trial.in_validation[0]), metric.of_loss(trial.in_validation[1])
    leak = looked > 0 and high < 0
    stays = sorted(set(suspects) - set(dropped))
    stacks = gain > 0 and not stays
    numbers = f"{metric.name} {stacked:.4g} against {unstacked:.4g}, {len(held):,} rows, 95 % interval of the gain {low:.4g} to {high:.4g}"
    if stacks:
        sure = "" if low > 0 else "; the difference is within chance"
        sentence = f"stacking beats the plain blend on rows that no level has seen: {numbers}{sure}"
    elif stays:
        sentence = f"nothing is stacked on members that may not be honest: {numbers}; the blend is kept"
    else:
        looks = f", though it looks better in validation ({seen[0]:.4g} against {seen[1]:.4g})" if looked > 0 else ""
        sentence = f"stacking does not beat the plain blend on rows that no level has seen{looks}: {numbers}; the blend is kept"
    for name, (before, after) in suspects.items():
        end = "it is left out" if name in dropped else "it stays, since the ensemble is no better without it"
        sentence += f"; member '{name}' has {metric.name} {before:.4g} out of fold and {after:.4g} on unseen rows, "
        sentence += f"so it knows more of the folds than it should: {end}"
    return Guard(
        metric.name, stacks, True, sentence, len(held), stacked, unstacked, seen, gain, trial.interval, leak, suspects, dropped, held
    )
