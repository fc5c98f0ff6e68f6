"""Blends of scikit-learn estimators: members predict rows they have not learnt from, and weights are found for what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .composed import Classes, Composed, Numbers
from .folds import seed_number
from .member_list import with_params
from .tower import TowerPlan, finish, fit_levels, spoken


class _Blend(Composed):
    """Members side by side, one level of them."""

    def __init__(
        self,
        estimators: Any = None,
        *,
        method: str = "greedy",
        metric: Any = None,
        preset: str | None = None,
        cv: Any = 5,
        refit: bool = True,
        calibration: str = "none",
        fall_back: bool | None = None,
        segments: Any = None,
        options: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimators = estimators
        self.method = method
        self.metric = metric
        self.preset = preset
        self.cv = cv
        self.refit = refit
        self.calibration = calibration
        self.fall_back = fall_back
        self.segments = segments
        self.options = options
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None, time: Any = None, **params: Any) -> Any:
        """Fit the members in folds, find weights, and fit those with a weight again on all rows.

        Args:
            X: (rows, columns), a table that the members take.
            y: (rows,) labels or numbers.
            sample_weight: (rows,), for the members and the loss.
            groups: (rows,) rows of one group are never on both sides of a fold.
            time: (rows,) folds learn only from what lies before; rows may come in any order.
            params: for members that request them.
        """
        members = self._members()
        seed = seed_number(self.random_state)
        prefit = self._prefit
        if prefit:
            for _, model in members:
                check_is_fitted(model)
        table = self._table(X, y, members, seed, sample_weight=sample_weight, groups=groups, time=time)
        given = {} if prefit else self._params_by_member(dict(members), sample_weight=sample_weight, groups=groups, time=time, **params)
        plan = TowerPlan(
            (with_params(members, given),),
            self._blending(table.classes),
            prefit=prefit,
            refit=self.refit,
            seed=seed,
            n_jobs=self.n_jobs,
        )
        levels = fit_levels(plan, table, 1)
        tower = finish(plan, table, levels)
        self._take_tower(tower)
        self.out_of_fold_ = spoken(levels)
        self.estimators_ = dict(tower.levels[0])
        return self


class BlendClassifier(Classes, ClassifierMixin, _Blend):
    """A weighted ensemble of classifiers, with weights from predictions of rows that the members did not learn from.

    p = sum_j w_j p_j for the linear methods. Where the method does not beat the best member and the plain mean on rows left out of
    its own fit, the better of these is used instead, and `verdict_` says so.

    Source: Caruana et al. 2004; van der Laan et al. 2007.

    Args:
        estimators: list of (name, classifier), `drop` in place of one leaves it out; None for a small default.
        method: a name in `modelweave.predictions.LEARNERS` or `auto`.
        metric: log_loss by default, brier, accuracy, roc_auc.
        preset: `autogluon` or `auto_sklearn`.
        cv: number of folds, a `Split`, a splitter of scikit-learn or a list of (train, test), or `prefit`: the estimators are fitted
            already, and X and y are rows they have not seen. Rows that no fold tests do not count for weights.
        refit: fit members with a weight again on all rows, or else average those of the folds.
        calibration: a temperature for `members`, the `blend`, `both` or `none`.
        fall_back: False keeps the method whatever the verdict; the default does so for methods that learn nothing, such as the mean.
        segments: for per_group, the column of X (name or number) that holds them.
        options: the method's parameters.
        random_state: of folds, draws and members.
        n_jobs: processes that fit members, as in scikit-learn.

    Attributes:
        blend_: the `Blend` of the members' predictions.
        weights_: of each member.
        verdict_: how the blend compares on rows left out.
        estimators_: of each kept member its model, or one of each fold.
        out_of_fold_: what each member predicts of rows that it did not learn from.
        classes_: the labels in the order of columns.
        n_features_in_: columns of X.
        feature_names_in_: their names, where X has some.

    Raises:
        ParameterError: for options; it is a ValueError.
        CompatibilityError: for rows that cannot be learnt from; it is a ValueError, too.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> BlendClassifier().fit(X, y).score(X, y) > 0.95
    True
    """


class BlendRegressor(Numbers, RegressorMixin, _Blend):
    """A weighted ensemble of regressors, with weights from predictions of rows that the members did not learn from.

    As `BlendClassifier`, whose attributes it has but for classes_. Several outputs where all members have them.

    Args:
        estimators: list of (name, regressor), `drop` in place of one leaves it out; None for a small default.
        method: a name in `modelweave.predictions.LEARNERS` or `auto`.
        metric: rmse by default, mse, mae, r2.
        preset: `autogluon` or `auto_sklearn`.
        cv: folds, or `prefit`, as in `BlendClassifier`.
        refit: fit members with a weight again on all rows, or else average those of the folds.
        calibration: `none`; numbers have no temperature.
        fall_back: False keeps the method whatever the verdict.
        segments: for per_group, the column of X (name or number) that holds them.
        options: the method's parameters.
        random_state: of folds, draws and members.
        n_jobs: processes that fit members, as in scikit-learn.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> BlendRegressor().fit(X, y).score(X, y) > 0.4
    True
    """
