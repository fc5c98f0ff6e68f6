"""Levels of members, each fed with what the one below says, and one ensemble on top: the core of blends, stacks and text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from ...errors import CompatibilityError
from ..predictions.blend import blend
from ..predictions.blended import Blend
from ..predictions.metrics import Metric
from ..predictions.pool import covered
from ..predictions.rules import Linear
from .cross_validation import looks_back, usable, weight_split
from .folds import OutOfFold, cut_params, mean_predictions, out_of_fold, predictions
from .table import Table, TowerMember, best_of_families

Array = NDArray[Any]
Models = tuple[Any, ...]


@dataclass(frozen=True)
class TowerPlan:
    """levels: the members of each. final: whether the last level holds a final estimator, which then speaks alone.

    prefit: members of the first level are fitted already. refit: fit members again on all rows, or else keep those of the folds.
    blending: options of `modelweave.blend`. feeding: a metric by which only the best members of each family feed the next level;
    None lets all feed it.
    """

    levels: tuple[tuple[TowerMember, ...], ...]
    blending: Mapping[str, Any]
    passthrough: bool = False
    final: bool = False
    prefit: bool = False
    refit: bool = True
    feeding: Metric | None = None
    seed: int = 0
    n_jobs: int | None = None


@dataclass
class Level:
    """One level's members and what they said of rows they had not learnt from.

    rows: flags, those there is an input for. feeds: the members that the next level learns from. again: models of all rows.
    """

    number: int
    members: tuple[TowerMember, ...]
    inputs: Any
    rows: Array
    found: dict[str, OutOfFold]
    feeds: tuple[str, ...]
    prefit: bool = False
    again: dict[str, Models] = field(default_factory=dict)


def title(name: str, number: int) -> str:
    """A member's name among those of all levels."""
    return name if number == 1 else f"{name}@{number}"


def fit_levels(plan: TowerPlan, table: Table, count: int) -> list[Level]:
    """The lowest `count` levels, out of fold, on the same folds throughout."""
    levels: list[Level] = []
    for members in plan.levels[:count]:
        levels.append(fit_level(plan, members, table, levels[-1] if levels else None))
    return levels


def fit_level(
    plan: TowerPlan, members: Sequence[TowerMember], table: Table, below: Level | None = None, fed: Mapping[str, Array] | None = None
) -> Level:
    """Members out of fold: on the columns of the table, or on what the level below says as well.

    Rows that no fold tests on one level have no input on the next, and do not take part there. fed: by name, the predictions to learn
    from; by default the out-of-fold ones of the members that feed this level. Others, such as what models say of rows they have learnt
    from, are there to show what becomes of it.
    Raises CompatibilityError where the level has no fold left.
    """
    inputs, rows, folds = table.X, np.ones(len(table.y), bool), table.folds
    if below is not None:
        said = fed or {name: below.found[name].predictions for name in below.feeds}
        rows = _covered(said)
        folds = usable(folds, rows, None if table.classes is None else table.y)
        if not folds:
            raise CompatibilityError(
                f"level {below.number + 1}: no fold has rows that level {below.number} predicts to learn from; use fewer levels"
            )
        members = [member.above(column_names(said, table.classes)) for member in members]
        inputs = join(table.X if plan.passthrough else None, said, table.classes)
    prefit = plan.prefit and below is None
    found = {member.name: _one(member, inputs, table, folds, prefit, plan.n_jobs) for member in members}
    feeds = tuple(found)
    if plan.feeding is not None:
        sign = -1 if plan.feeding.gain else 1
        losses = {name: sign * table.score(one.predictions, plan.feeding) for name, one in found.items()}
        feeds = best_of_families(members, losses, len(table.y))
    return Level(1 if below is None else below.number + 1, tuple(members), inputs, rows, found, feeds, prefit)


def _one(member: TowerMember, inputs: Any, table: Table, folds: Sequence[Any], prefit: bool, n_jobs: int | None) -> OutOfFold:
    if prefit:
        return OutOfFold(predictions(member.estimator, inputs, table.classes), (member.estimator,), ())
    return out_of_fold(member.estimator, inputs, table.y, folds, classes=table.classes, fit_params=member.params, n_jobs=n_jobs)


def _covered(said: Mapping[str, Array]) -> Array:
    """(rows,): whether all have a prediction."""
    return np.asarray(np.all([covered(p) for p in said.values()], axis=0))


def _columns(said: Mapping[str, Array], classes: Array | None) -> dict[str, Array]:
    """(rows, columns) by name: of two classes the second's alone."""
    first = 1 if classes is not None and len(classes) == 2 else 0
    return {name: p.reshape(len(p), -1)[:, first:] for name, p in said.items()}


def column_names(said: Mapping[str, Array], classes: Array | None) -> list[str]:
    """Names of the columns that predictions stand in: `member_<name>`, of several columns `member_<name>_<class>`."""
    names: list[str] = []
    for name, p in _columns(said, classes).items():
        ends = range(p.shape[1]) if classes is None else classes.tolist()
        names += [f"member_{name}"] if p.shape[1] == 1 else [f"member_{name}_{end}" for end in ends]
    return names


def join(X: Any, said: Mapping[str, Array], classes: Array | None) -> Any:
    """What the next level learns from: predictions side by side, of two classes the second's, then the columns of X unless it is None.

    Raises CompatibilityError where X is no table, or has a column of the name that a prediction's gets.
    """
    columns = list(_columns(said, classes).values())
    if X is None:
        return np.hstack(columns)
    if sparse.issparse(X):
        return sparse.hstack([*columns, X], format=X.format)
    if np.ndim(X) != 2:
        raise CompatibilityError("passthrough: expected X as a table of columns to put beside predictions; use passthrough=False")
    if not hasattr(X, "iloc"):
        return np.hstack([*columns, np.asarray(X)])
    import pandas as pd

    names: list[Any] = column_names(said, classes)
    if not all(isinstance(column, str) for column in X.columns):
        # scikit-learn refuses tables of which some columns only are named by words
        names = list(range(len(X.columns), len(X.columns) + len(names)))
    elif set(names) & set(X.columns):
        both = min(set(names) & set(X.columns))
        raise CompatibilityError(f"X: column '{both}' has the name of a column of predictions; rename the column or the member")
    return pd.concat([pd.DataFrame(np.hstack(columns), columns=names, index=X.index), X], axis=1)


@dataclass(frozen=True)
class Tower:
    """Fitted members, level by level, and the ensemble of what they say. A member has one model, or one of each fold.

    feeds: of each level but the last the members that the next one reads. blend: None for a single member, which speaks alone.
    """

    levels: tuple[dict[str, Models], ...]
    feeds: tuple[tuple[str, ...], ...]
    blend: Blend | None
    classes: Array | None
    passthrough: bool
    final: bool

    def predict(self, X: Any, segments: Array | None = None) -> Array:
        """(rows,) or (rows, columns); of classes (rows, classes) probabilities in the order of `classes`."""
        return self.together(self.say(X), segments)

    def together(self, said: Mapping[str, Array], segments: Array | None = None) -> Array:
        """The ensemble of what its members say, by title."""
        return next(iter(said.values())) if self.blend is None else self.blend.predict(said, segments)

    def say(self, X: Any) -> dict[str, Array]:
        """What the members that the ensemble is made of predict, by title."""
        inputs = X
        said: dict[str, Array] = {}
        for number, level in enumerate(self.levels, 1):
            own = {name: mean_predictions(models, inputs, self.classes) for name, models in level.items()}
            if number < len(self.levels):
                fed = {name: own[name] for name in self.feeds[number - 1]}
                inputs = join(X if self.passthrough else None, fed, self.classes)
            if not self.final or number == len(self.levels):
                said |= {title(name, number): p for name, p in own.items()}
        return said


def finish(plan: TowerPlan, table: Table, levels: Sequence[Level]) -> Tower:
    """Blend all levels, or let the final estimator speak, and fit again the members that are needed for it."""
    final = plan.final and len(levels) == len(plan.levels)
    top = len(levels)
    said = spoken(levels, final)
    found = blend_covered(said, table, plan)
    needed = needed_members(found)
    if not final:
        top = max(number for number, level in enumerate(levels, 1) for name in level.found if title(name, number) in needed)
    built = []
    for number, level in enumerate(levels[:top], 1):
        names = [name for name in level.found if (number < top and name in level.feeds) or title(name, number) in needed]
        built.append({name: fitted_models(plan, table, level, name) for name in names})
    feeds = tuple(level.feeds for level in levels[: top - 1])
    return Tower(tuple(built), feeds, found, table.classes, plan.passthrough, final)


def spoken(levels: Sequence[Level], final: bool = False) -> dict[str, Array]:
    """Out-of-fold predictions by title, of all levels or the last."""
    numbered = list(enumerate(levels, 1))
    return {
        title(name, number): one.predictions
        for number, level in (numbered[-1:] if final else numbered)
        for name, one in level.found.items()
    }


def blend_covered(said: Mapping[str, Array], table: Table, plan: TowerPlan) -> Blend:
    """The blend on rows that all members cover, in the order of time."""
    rows = np.flatnonzero(_covered(said))
    about = table.about
    if about.time is None and table.split is None and looks_back(table.folds):
        about = replace(about, time=np.arange(len(table.y)))
    if about.time is not None:
        rows = rows[np.argsort(about.time[rows], kind="stable")]
    about = about.take(rows)
    return blend(
        {name: p[rows] for name, p in said.items()},
        table.y[rows],
        labels=None if table.classes is None else table.classes.tolist(),
        groups=about.groups,
        time=about.time,
        segments=about.segments,
        sample_weight=about.weight,
        folds=weight_split(table.split, about, len(rows), plan.seed),
        provenance="hold_out" if plan.prefit and len(plan.levels) == 1 else "out_of_fold",
        seed=plan.seed,
        **plan.blending,
    )


def needed_members(found: Blend) -> set[str]:
    """Names with a weight that is not 0; all but copies where the rule is not one of weights."""
    rule = found.rule
    while hasattr(rule, "rule"):
        rule = rule.rule
    if not isinstance(rule, Linear):
        return {found.names[place] for place in found.used}
    return {name for name, weight in found.weights.items() if np.any(weight)}


def fitted_models(plan: TowerPlan, table: Table, level: Level, name: str) -> Models:
    """The models to predict with: those of the folds, or one that learns from all rows there is an input for."""
    if level.prefit or not plan.refit:
        return level.found[name].models
    if name not in level.again:
        member = next(member for member in level.members if member.name == name)
        rows = np.flatnonzero(level.rows)
        params = cut_params(member.params, rows, len(table.y))
        began = perf_counter()
        model = clone(member.estimator).fit(_safe_indexing(level.inputs, rows), table.y[rows], **params)
        level.again[name] = (model,)
        level.found[name] = replace(level.found[name], seconds=level.found[name].seconds + perf_counter() - began)
    return level.again[name]
