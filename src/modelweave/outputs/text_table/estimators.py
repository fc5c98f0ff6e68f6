"""`TextTableClassifier` and `TextTableRegressor`: tables with numbers, categories and text, as a stack whose members read typed columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from ...errors import ParameterError, unknown
from ..estimators.composed import Classes, Numbers
from ..estimators.folds import OutOfFold, seed_number
from ..estimators.guard import Guard, guard, only_members
from ..estimators.metadata import check_takes_weight
from ..estimators.rows import check_columns, check_rows
from ..estimators.table import Table, TowerMember
from ..estimators.tower import Level, Tower, TowerPlan, finish, fit_levels, fitted_models, spoken, title
from ..predictions.learner import About, about
from ..predictions.metrics import METRICS, Metric, metric_named
from ..splits import Split
from .column_types import ColumnTypes, as_table, column_types
from .leaderboard import leaderboard
from .named import choose

Array = NDArray[Any]
MODES = ("single", "weighted", "stack")


class _TextTable(BaseEstimator):
    """What both estimators share."""

    column_types_: ColumnTypes
    guard_: Guard | None

    def __init__(
        self,
        members: Sequence[str] | Mapping[str, Any] | None = None,
        *,
        mode: str = "stack",
        stackers: Sequence[str] | Mapping[str, Any] | None = None,
        metric: str | Metric | None = None,
        folds: int | Split = 5,
        column_types: Mapping[Any, str] | None = None,
        fusion: str = "late",
        encoder: str | Path | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        guard: bool = True,
        calibrate: bool | str = "auto",
        refit_full: bool = False,
        n_jobs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.members, self.mode, self.stackers, self.metric, self.folds = members, mode, stackers, metric, folds
        self.column_types, self.fusion, self.encoder, self.options = column_types, fusion, encoder, options
        self.guard, self.calibrate, self.refit_full = guard, calibrate, refit_full
        self.n_jobs, self.random_state = n_jobs, random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, time: Any = None) -> Any:
        """Fit the members as `mode` says, and weigh them.

        Args:
            X: (rows, columns), a DataFrame, or numbers.
            y: (rows,) labels, or numbers.
            sample_weight: (rows,), for the members and the loss.
            groups: (rows,) rows of one group are never on both sides of a fold.
            time: (rows,) folds learn only from what lies before.
        """
        if self.mode not in MODES:
            raise ParameterError("mode: " + unknown("mode", str(self.mode), MODES))
        if self.calibrate not in (True, False, "auto"):
            raise ParameterError(f"calibrate: expected True, False or 'auto', got {self.calibrate!r}")
        rows = check_rows(self, X, y, sample_weight)
        frame = as_table(_values(rows.X))
        self.column_types_ = column_types(frame, self.column_types)
        if rows.classes is not None:
            self.classes_ = rows.classes
        seed = seed_number(self.random_state)
        split = self.folds if isinstance(self.folds, Split) else Split(self.folds, seed=seed)
        known = about(len(rows.y), weight=rows.weight, groups=groups, time=time)
        # members of all libraries learn class numbers from 0
        codes = rows.y if rows.classes is None else np.searchsorted(rows.classes, rows.y)
        table = Table(frame, codes, None if rows.classes is None else np.arange(len(rows.classes)), (), known, split)
        metric = metric_named(self.metric, table.task)
        plan = self._plan(table, metric, split, seed)
        self.guard_ = None
        tower, levels = self._fit_single(plan, table, metric) if self.mode == "single" else self._fit_several(plan, table, metric)
        self._take(tower, levels, metric, table)
        return self

    def _plan(self, table: Table, metric: Metric, split: Split, seed: int) -> TowerPlan:
        """The members of each level, and how they are weighed."""
        classes = table.classes is not None
        common: dict[str, Any] = {"fusion": self.fusion, "encoder": self.encoder, "metric": self.metric, "seed": seed}
        levels = [choose(self.members, self.column_types_, classification=classes, options=self.options, **common)]
        if self.mode == "stack" and self.stackers is None:
            plain = [member for member in levels[0] if member.family != "network" and not member.name.endswith("_embedding")]
            levels.append(plain or levels[0])
        elif self.mode == "stack" and self.stackers is not None and len(self.stackers):
            levels.append(choose(self.stackers, self.column_types_, classification=classes, options=self.options, **common))
        calibrate = metric.name in ("log_loss", "brier") if self.calibrate == "auto" else bool(self.calibrate)
        blending = {
            "method": "greedy",
            "preset": "autogluon",
            "metric": metric.name if metric.name in METRICS else metric,
            "calibration": "blend" if calibrate and classes else "none",
        }
        return TowerPlan(
            tuple(tuple(_with_params(member, table.about) for member in level) for level in levels),
            blending,
            passthrough=True,
            refit=self.refit_full,
            feeding=metric,
            seed=split.seed,
            n_jobs=self.n_jobs,
        )

    def _fit_single(self, plan: TowerPlan, table: Table, metric: Metric) -> tuple[Tower, list[Level]]:
        """The best member on a hold-out, fitted on all rows; with one member there is nothing to choose."""
        members = plan.levels[0]
        if len(members) > 1:
            (level,) = fit_levels(plan, _held_out(table), 1)
            sign = -1 if metric.gain else 1
            losses = {name: sign * table.score(one.predictions, metric) for name, one in level.found.items()}
            name = min(losses, key=lambda name: (np.isnan(losses[name]), losses[name]))
        else:
            name = members[0].name
            nothing = np.full(len(table.y), np.nan)
            level = Level(1, members, table.X, np.ones(len(table.y), bool), {name: OutOfFold(nothing, (), ())}, (name,))
        models = fitted_models(replace(plan, refit=True), table, level, name)
        return Tower(({name: models},), (), None, table.classes, plan.passthrough, False), [level]

    def _fit_several(self, plan: TowerPlan, table: Table, metric: Metric) -> tuple[Tower, list[Level]]:
        """Members on a hold-out or on folds, upper levels where the guard lets them, and the weights of all."""
        if self.mode == "weighted":
            table = _held_out(table)
        else:
            assert table.split is not None
            known = table.about
            folds = table.split.over(table.y, groups=known.groups, time=known.time, classes=table.classes is not None)
            table = replace(table, folds=tuple(folds))
        if self.guard and len(plan.levels) > 1:
            self.guard_ = guard(plan, table, metric)
            plan = only_members(plan, [m.name for m in plan.levels[0] if m.name not in self.guard_.dropped])
            plan = plan if self.guard_.stacks else replace(plan, levels=plan.levels[:1])
        levels = fit_levels(plan, table, len(plan.levels))
        return finish(plan, table, levels), levels

    def _take(self, tower: Tower, levels: list[Level], metric: Metric, table: Table) -> None:
        """What is kept: all members, for those who ask for each, and the tower of those that are needed; not the rows."""
        if tower.blend is None:
            self._whole = tower
        else:
            tower = replace(tower, blend=replace(tower.blend, seen=None))
            models = [{name: one.models for name, one in level.found.items()} for level in levels]
            used = [*tower.levels, *[{}] * len(levels)]
            whole = tuple({**all_of, **own} for all_of, own in zip(models, used, strict=False))
            self._whole = replace(tower, levels=whole, feeds=tuple(level.feeds for level in levels[:-1]))
        self._tower = tower
        self.estimators_ = {title(name, k): models for k, level in enumerate(self._whole.levels, 1) for name, models in level.items()}
        self.out_of_fold_ = spoken(levels)
        weights = dict.fromkeys(self.estimators_, 1.0) if tower.blend is None else tower.blend.weights
        self.weights_: dict[str, float] = {name: float(weights[name]) for name in self.estimators_}
        self.board_ = leaderboard(self._whole, tower, levels, table, metric)

    def leaderboard(self) -> pd.DataFrame:
        """A row for the ensemble and for each member and level: score out-of-fold, weight, seconds to fit, to predict 1,000 rows."""
        check_is_fitted(self)
        return pd.DataFrame(self.board_)

    def predict_members(self, X: Any) -> dict[str, Array]:
        """Predictions of each member and level by name; those of the second level are `<name>@2`."""
        table = self._table(X)
        return self._whole.say(table)

    def _predict(self, X: Any) -> Array:
        table = self._table(X)
        return self._tower.predict(table)

    def _table(self, X: Any) -> pd.DataFrame:
        return as_table(_values(check_columns(self, X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


def _values(X: Any) -> Any:
    """A DataFrame as it is; anything else as numbers."""
    return X if isinstance(X, pd.DataFrame) else check_array(X, dtype="numeric", ensure_all_finite="allow-nan", input_name="X")


def _held_out(table: Table) -> Table:
    """The table with one fold: a part held out by the rules of the split."""
    assert table.split is not None
    known = table.about
    part = table.split.holdout(table.y, groups=known.groups, time=known.time, classes=table.classes is not None)
    return replace(table, folds=(part,))


def _with_params(member: TowerMember, known: About) -> TowerMember:
    """The member with what its `fit` takes beside the rows: weights, which every member has to take, groups and time."""
    if known.weight is not None:
        check_takes_weight(member.name, member.estimator)
    given = {"sample_weight": known.weight, "groups": known.groups, "time": known.time}
    takes = [name for name in given if name == "sample_weight" or has_fit_parameter(member.estimator, name)]
    return replace(member, params={name: given[name] for name in takes if given[name] is not None})


class TextTableClassifier(Classes, ClassifierMixin, _TextTable):
    """Classes from a table of numbers, categories and text, by members of several families.

    Source: Shi et al. 2021, arXiv 2111.02705; greedy weights and the guard as AutoGluon 1.6 has them.

    Args:
        members: names that `modelweave methods --level text_table` lists, or a mapping from names to estimators that take DataFrames; by
            default boosting with and without text, extra trees, a linear model and a network with late fusion.
        mode: `single`, the best member on a hold-out, fitted on all rows; `weighted`, members fitted once and weighted on a hold-out;
            `stack`, members on folds, `stackers` on the columns and their out-of-fold predictions, greedy weights over both levels.
        stackers: members of the second level, by default all but networks; an empty list leaves it out.
        metric: as in `modelweave.blend`; chooses members, checkpoints and weights.
        folds: a number, or a `Split`. `groups` and `time` of `fit` are kept in folds, hold-outs and checks alike, and never ignored: with
            too few of them for the weights' own folds there are fewer folds, or none.
        column_types: column to numeric, categorical, text or drop, where the guess is wrong.
        fusion: `late`, `early` or `all_text`, for the networks.
        encoder: the folder of a transformers encoder, for the networks.
        options: parameters by member.
        guard: try the second level on a hold-out first, and leave it out unless it is better there than the members' blend; also where a
            trial is not possible (under 20 rows or one group held out), or a member's predictions flatter the rows it feeds, by
            `find_leak`, and leaving that member out does not help. Without a guard the levels are fitted as asked, or an error says why
            not.
        calibrate: fit a temperature; `auto` where the metric is of probabilities.
        refit_full: one model on all rows in place of each bag.
        n_jobs: processes that fit members, as in scikit-learn.
        random_state: of folds and members.

    Attributes:
        column_types_: what each column was taken for.
        weights_: of each member.
        guard_: whether there is a second level, and why; None where nothing was tried.
        estimators_: of each member its model, or one of each fold; members of the second level are `name@2`.
        out_of_fold_: what each member predicts of rows that it did not learn from.
        classes_: the labels in the order of columns.

    Raises:
        ParameterError: for options.
        CompatibilityError: for tables that cannot be learnt from.

    >>> table = pd.DataFrame({"stars": [1, 5] * 20, "said": ["would not buy again", "works very well"] * 20})
    >>> model = TextTableClassifier(["linear"], mode="single", column_types={"said": "text"})
    >>> model = model.fit(table, ["bad", "good"] * 20)
    >>> model.predict(pd.DataFrame({"stars": [None], "said": ["works well"]})).tolist()
    ['good']
    """


class TextTableRegressor(Numbers, RegressorMixin, _TextTable):
    """Numbers from a table of numbers, categories and text, by members of several families.

    As `TextTableClassifier`, whose attributes it has but for classes_.

    Args:
        members: names that `modelweave methods --level text_table` lists, or a mapping from names to estimators that take DataFrames.
        mode: `single`, `weighted` or `stack`.
        stackers: members of the second level, by default all but networks; an empty list leaves it out.
        metric: as in `modelweave.blend`; chooses members, checkpoints and weights.
        folds: a number, or a `Split`.
        column_types: column to numeric, categorical, text or drop, where the guess is wrong.
        fusion: `late`, `early` or `all_text`, for the networks.
        encoder: the folder of a transformers encoder, for the networks.
        options: parameters by member.
        guard: try the second level on a hold-out first, and leave it out unless it is better there than the members' blend.
        calibrate: has no effect on numbers.
        refit_full: one model on all rows in place of each bag.
        n_jobs: processes that fit members, as in scikit-learn.
        random_state: of folds and members.

    >>> table = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 10})
    >>> model = TextTableRegressor(["linear"], mode="single").fit(table, [2.0, 4.0, 6.0, 8.0] * 10)
    >>> model.predict(pd.DataFrame({"size": [2.5]})).round(2).tolist()
    [5.0]
    """
