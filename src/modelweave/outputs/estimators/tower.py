"""Levels of members, each fed with what the one below says, and one ensemble on top: the core of blends and stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from ...errors import CompatibilityError
from ..predictions.blend import blend
from ..predictions.blended import Blend
from ..predictions.learner import About
from ..predictions.rules import Linear
from ..splits import Fold, Split
from .cross_validation import looks_back, usable, weight_split
from .folds import OutOfFold, cut_params, mean_predictions, out_of_fold, predictions

Array = NDArray[Any]
Models = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """Rows to learn from. classes: the sorted labels, None for numbers. split: what drew the folds, if it can draw others."""

    X: Any
    y: Array
    classes: Array | None
    folds: tuple[Fold, ...]
    about: About
    split: Split | None

    def take(self, rows: Array, folds: tuple[Fold, ...]) -> Table:
        """Some of the rows, with folds of their own."""
        return replace(self, X=_safe_indexing(self.X, rows), y=self.y[rows], about=self.about.take(rows), folds=folds)


@dataclass(frozen=True)
class Member:
    """An estimator under its name, with what its `fit` is given besides."""

    name: str
    estimator: Any
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """levels: the members of each. final: whether the last level holds a final estimator, which then speaks alone.

    prefit: members of the first level are fitted already. refit: fit members again on all rows, or else keep those of the folds.
    blending: options of `modelweave.blend`.
    """

    levels: tuple[tuple[Member, ...], ...]
    blending: Mapping[str, Any]
    passthrough: bool = False
    final: bool = False
    prefit: bool = False
    refit: bool = True
    seed: int = 0
    n_jobs: int | None = None


@dataclass
class Level:
    """One level's members and what they said of rows they had not learnt from. rows: flags, those there is an input for."""

    members: tuple[Member, ...]
    inputs: Any
    rows: Array
    found: dict[str, OutOfFold]
    prefit: bool
    again: dict[str, Models] = field(default_factory=dict)


def title(name: str, number: int) -> str:
    """A member's name among those of all levels."""
    return name if number == 1 else f"{name}@{number}"


def fit_levels(plan: Plan, table: Table, count: int) -> list[Level]:
    """The lowest `count` levels, out of fold, on the same folds throughout.

    Rows that no fold tests on one level have no input on the next, and do not take part there.
    Raises CompatibilityError where a level has no fold left.
    """
    inputs, rows = table.X, np.ones(len(table.y), bool)
    levels: list[Level] = []
    for number, members in enumerate(plan.levels[:count], 1):
        prefit = plan.prefit and number == 1
        folds = table.folds
        if number > 1:
            folds = usable(folds, rows, None if table.classes is None else table.y)
            if not folds:
                raise CompatibilityError(
                    f"level {number}: no fold has rows that level {number - 1} predicts to learn from; use fewer levels"
                )
        found = {member.name: _one(member, inputs, table, folds, prefit, plan.n_jobs) for member in members}
        levels.append(Level(members, inputs, rows, found, prefit))
        said = {name: one.predictions for name, one in found.items()}
        rows = _covered(said)
        if number < count:
            inputs = join(table.X if plan.passthrough else None, said, table.classes)
    return levels


def _one(member: Member, inputs: Any, table: Table, folds: Sequence[Fold], prefit: bool, n_jobs: int | None) -> OutOfFold:
    if prefit:
        return OutOfFold(predictions(member.estimator, inputs, table.classes), (member.estimator,), ())
    return out_of_fold(member.estimator, inputs, table.y, folds, classes=table.classes, fit_params=member.params, n_jobs=n_jobs)


def _covered(said: Mapping[str, Array]) -> Array:
    there: Array = np.all([~np.isnan(p.reshape(len(p), -1)[:, 0]) for p in said.values()], axis=0)
    return there


def join(X: Any, said: Mapping[str, Array], classes: Array | None) -> Any:
    """What the next level learns from: predictions side by side, of two classes the second's, then the columns of X unless it is None."""
    wide = {name: p.reshape(len(p), -1) for name, p in said.items()}
    if classes is not None and len(classes) == 2:
        wide = {name: p[:, 1:] for name, p in wide.items()}
    columns = list(wide.values())
    if X is None:
        return np.hstack(columns)
    if sparse.issparse(X):
        return sparse.hstack([*columns, X], format=X.format)
    if hasattr(X, "iloc") and np.ndim(X) == 2:
        return _join_frame(X, wide, classes)
    if np.ndim(X) != 2:
        raise CompatibilityError("passthrough: expected X as a table of columns to put beside predictions; use passthrough=False")
    return np.hstack([*columns, np.asarray(X)])


def _join_frame(X: Any, wide: Mapping[str, Array], classes: Array | None) -> Any:
    import pandas as pd

    words = [] if classes is None else classes.tolist()
    names: list[Any] = []
    for name, p in wide.items():
        ends = words[-p.shape[1] :] if words else range(p.shape[1])
        names += [f"member_{name}"] if p.shape[1] == 1 else [f"member_{name}_{end}" for end in ends]
    if not all(isinstance(column, str) for column in X.columns):
        # scikit-learn refuses tables of which some columns only are named by words
        names = list(range(len(X.columns), len(X.columns) + len(names)))
    said = pd.DataFrame(np.hstack(list(wide.values())), columns=names, index=X.index)
    return pd.concat([said, X], axis=1)


@dataclass(frozen=True)
class Tower:
    """Fitted members, level by level, and the ensemble of what they say. A member has one model, or one of each fold."""

    levels: tuple[dict[str, Models], ...]
    blend: Blend
    classes: Array | None
    passthrough: bool
    final: bool

    def predict(self, X: Any, segments: Array | None = None) -> Array:
        """(rows,) or (rows, columns); of classes (rows, classes) probabilities in the order of `classes`."""
        return self.blend.predict(self.say(X), segments)

    def say(self, X: Any) -> dict[str, Array]:
        """What the members that the ensemble is made of predict, by title."""
        inputs = X
        said: dict[str, Array] = {}
        for number, level in enumerate(self.levels, 1):
            own = {name: mean_predictions(models, inputs, self.classes) for name, models in level.items()}
            if number < len(self.levels):
                inputs = join(X if self.passthrough else None, own, self.classes)
            if not self.final or number == len(self.levels):
                said |= {title(name, number): p for name, p in own.items()}
        return said


def finish(plan: Plan, table: Table, levels: Sequence[Level]) -> Tower:
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
        names = [name for name in level.found if number < top or title(name, number) in needed]
        built.append({name: fitted_models(plan, table, level, name) for name in names})
    return Tower(tuple(built), found, table.classes, plan.passthrough, final)


def spoken(levels: Sequence[Level], final: bool = False) -> dict[str, Array]:
    """Out-of-fold predictions by title, of all levels or the last."""
    numbered = list(enumerate(levels, 1))
    return {
        title(name, number): one.predictions
        for number, level in (numbered[-1:] if final else numbered)
        for name, one in level.found.items()
    }


def blend_covered(said: Mapping[str, Array], table: Table, plan: Plan) -> Blend:
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


def fitted_models(plan: Plan, table: Table, level: Level, name: str) -> Models:
    """The models to predict with: those of the folds, or one that learns from all rows there is an input for."""
    if level.prefit or not plan.refit:
        return level.found[name].models
    if name not in level.again:
        member = next(member for member in level.members if member.name == name)
        rows = np.flatnonzero(level.rows)
        params = cut_params(member.params, rows, len(table.y))
        model = clone(member.estimator).fit(_safe_indexing(level.inputs, rows), table.y[rows], **params)
        level.again[name] = (model,)
    return level.again[name]
