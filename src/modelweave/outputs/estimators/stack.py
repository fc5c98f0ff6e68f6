"""Stacks of scikit-learn estimators: levels that learn from what the one below says, and a guard that asks unseen rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from ...errors import ParameterError, unknown
from .composed import Classes, Composed, Numbers
from .folds import seed_number
from .guard import guard, only_members
from .member_list import Named, with_params
from .tower import TowerPlan, finish, fit_levels, spoken, title

FINAL = "final"


class _Stack(Composed):
    """Members in levels."""

    def __init__(
        self,
        estimators: Any = None,
        final_estimator: Any = None,
        *,
        levels: int = 1,
        stackers: Any = None,
        passthrough: bool = True,
        guard: str | None = "holdout",
        method: str = "greedy",
        metric: Any = None,
        preset: str | None = None,
        cv: Any = 5,
        repeats: int = 1,
        refit: bool = True,
        calibration: str = "none",
        fall_back: bool | None = None,
        segments: Any = None,
        options: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimators = estimators
        self.final_estimator = final_estimator
        self.levels = levels
        self.stackers = stackers
        self.passthrough = passthrough
        self.guard = guard
        self.method = method
        self.metric = metric
        self.preset = preset
        self.cv = cv
        self.repeats = repeats
        self.refit = refit
        self.calibration = calibration
        self.fall_back = fall_back
        self.segments = segments
        self.options = options
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None, time: Any = None, **params: Any) -> Any:
        """Ask the guard, fit the levels in folds, make the ensemble, and fit again on all rows the members that it needs.

        Args:
            X: (rows, columns), a table that the members take.
            y: (rows,) labels or numbers.
            sample_weight: (rows,), for the members and the loss.
            groups: (rows,) rows of one group are never on both sides of a fold.
            time: (rows,) folds learn only from what lies before; rows may come in any order.
            params: for members that request them.
        """
        named = self._named_levels()
        seed = seed_number(self.random_state)
        prefit = self._prefit
        if prefit:
            for _, model in named[0]:
                check_is_fitted(model)
        per_row = {"sample_weight": sample_weight, "groups": groups, "time": time}
        table = self._table(X, y, named[0], seed, self.repeats, **per_row)
        fresh = {name: model for name, model in self._routed().items() if not (prefit and name in dict(named[0]))}
        given = self._params_by_member(fresh, **per_row, **params)
        plan = TowerPlan(
            tuple(
                with_params(level, {name: given.get(self._route(name, number, len(named)), {}) for name, _ in level})
                for number, level in enumerate(named, 1)
            ),
            self._blending(table.classes),
            passthrough=self.passthrough,
            final=self.final_estimator is not None,
            prefit=prefit,
            refit=self.refit,
            seed=seed,
            n_jobs=self.n_jobs,
        )
        count = len(named)
        if self.guard is not None:
            self.guard_ = guard(plan, table, plan.blending["metric"])
            left = [name for name, _ in named[0] if name not in self.guard_.dropped]
            plan = only_members(plan, left)
            count = len(plan.levels) if self.guard_.stacks else 1
        levels = fit_levels(plan, table, count)
        tower = finish(plan, table, levels)
        self._take_tower(tower)
        self.out_of_fold_ = spoken(levels)
        self.estimators_ = {title(name, number): models for number, level in enumerate(tower.levels, 1) for name, models in level.items()}
        self.levels_ = len(tower.levels)
        return self

    def _named_levels(self) -> list[Named]:
        """The members of each level, the lowest first."""
        final = self.final_estimator is not None
        if isinstance(self.levels, bool) or not isinstance(self.levels, int) or self.levels < int(final):
            least = "1 with a final estimator" if final else "0"
            raise ParameterError(f"levels: expected a whole number of at least {least}, got {self.levels!r}")
        if self.guard not in (None, "holdout"):
            raise ParameterError("guard: " + unknown("guard", str(self.guard), ["holdout"]) + "; or None")
        members = self._members()
        upper = self._upper(members) if self.levels > final else []
        named = [members, *[upper] * (self.levels - final)]
        if not final:
            return named
        if not (is_classifier if isinstance(self, ClassifierMixin) else is_regressor)(self.final_estimator):
            kind = "classifier" if isinstance(self, ClassifierMixin) else "regressor"
            raise ParameterError(f"final_estimator: {type(self.final_estimator).__name__} is not a {kind}")
        return [*named, [(FINAL, self.final_estimator)]]

    def _upper(self, members: Named) -> Named:
        """The members of upper levels: those given, or those below that can learn."""
        if self.stackers is not None:
            return self._members("stackers")
        learning = [(name, model) for name, model in members if clone(model) is not model]
        if not learning:
            raise ParameterError("stackers: all estimators are frozen, so none can learn from a level below; give stackers, or levels=0")
        return learning

    def _needs_folds(self) -> bool:
        return self.levels > 0

    def _routed(self) -> Mapping[str, Any]:
        found = dict(self._members())
        if self.stackers is not None:
            found |= {f"stackers__{name}": model for name, model in self._members("stackers")}
        if self.final_estimator is not None:
            found["final_estimator"] = self.final_estimator
        return found

    def _route(self, name: str, number: int, count: int) -> str:
        """The name in routing of a level's member."""
        if self.final_estimator is not None and number == count:
            return "final_estimator"
        return name if number == 1 or self.stackers is None else f"stackers__{name}"


class StackClassifier(Classes, ClassifierMixin, _Stack):
    """Classifiers in levels: each level above the members learns from out-of-fold predictions of the one below.

    The result is a blend of what all levels say, or what the final estimator says. All levels use the same folds. A row's
    prediction by an upper level then still depends on its own target a little, through the models below that learned from it, which can
    look better in validation than it is. So a part of the rows is held out first, and where stacking does no better there than the
    plain blend of the members, or that cannot be judged, the blend is what is fitted; `guard_` says which and why. It also looks for
    members whose out-of-fold predictions are not honest, and leaves them out where that helps on unseen rows; where one stays,
    nothing is stacked on it.

    Source: Wolpert 1992; Shi et al. 2021 (arXiv 2111.02705) for levels, same folds and the blend on top.

    Args:
        estimators: list of (name, classifier), `drop` leaves one out; None for a small default.
        final_estimator: fitted on what the level below says, as in scikit-learn's StackingClassifier; None for a blend of all levels.
        levels: above the members; the final estimator is the uppermost where there is one.
        stackers: members of upper levels, by default the same but for frozen ones.
        passthrough: upper levels get the columns of X, too. In a pandas table predictions stand in columns `member_<name>_<class>`.
        guard: `holdout` or None. It needs 20 rows of two groups held out, a fit of all levels on the rest, and no frozen members that
            know them. None stacks as asked.
        method: as in `BlendClassifier`, as are the options down to `options`.
        metric: log_loss by default, brier, accuracy, roc_auc.
        preset: `autogluon` or `auto_sklearn`.
        cv: folds, or `prefit`.
        repeats: rounds of folds, when cv is a number.
        refit: fit members with a weight again on all rows, or else average those of the folds.
        calibration: a temperature for `members`, the `blend`, `both` or `none`.
        fall_back: False keeps the method whatever the verdict.
        segments: for per_group, the column of X that holds them.
        options: the method's parameters.
        random_state: of folds, draws and members.
        n_jobs: processes that fit members, as in scikit-learn.

    Attributes:
        guard_: whether there is stacking, and why.
        levels_: levels in use, the members' included.
        blend_: the `Blend` of what the levels say.
        weights_: of each member.
        verdict_: how the blend compares on rows left out.
        estimators_: of each kept member its model, or one of each fold; upper members are `name@level`.
        out_of_fold_: what each member predicts of rows that it did not learn from.
        classes_: the labels in the order of columns.
        n_features_in_: columns of X.
        feature_names_in_: their names, where X has some.

    Raises:
        ParameterError: for options; it is a ValueError.
        CompatibilityError: for rows that cannot be learnt from; it is a ValueError, too.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> StackClassifier().fit(X, y).score(X, y) > 0.95
    True
    """


class StackRegressor(Numbers, RegressorMixin, _Stack):
    """Regressors in levels: each level above the members learns from out-of-fold predictions of the one below.

    As `StackClassifier`, whose attributes it has but for classes_.

    Args:
        estimators: list of (name, regressor), `drop` leaves one out; None for a small default.
        final_estimator: fitted on what the level below says; None for a blend of all levels.
        levels: above the members; the final estimator is the uppermost where there is one.
        stackers: members of upper levels, by default the same but for frozen ones.
        passthrough: upper levels get the columns of X, too.
        guard: `holdout` or None, which stacks as asked.
        method: a name in `modelweave.predictions.LEARNERS` or `auto`.
        metric: rmse by default, mse, mae, r2.
        preset: `autogluon` or `auto_sklearn`.
        cv: folds, or `prefit`, as in `BlendClassifier`.
        repeats: rounds of folds, when cv is a number.
        refit: fit members with a weight again on all rows, or else average those of the folds.
        calibration: `none`; numbers have no temperature.
        fall_back: False keeps the method whatever the verdict.
        segments: for per_group, the column of X that holds them.
        options: the method's parameters.
        random_state: of folds, draws and members.
        n_jobs: processes that fit members, as in scikit-learn.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> StackRegressor().fit(X, y).score(X, y) > 0.4
    True
    """
