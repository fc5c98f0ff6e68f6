"""One estimator fitted on the folds of several splits, and the mean of all its copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, RegressorMixin, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import get_tags

from ...errors import CompatibilityError, ParameterError, unknown
from ..predictions.learner import about
from ..predictions.metrics import Metric, metric_named
from ..predictions.rules import Linear, Pooled
from .cross_validation import as_split, folds_of
from .folds import out_of_fold, predictions, seed_number
from .metadata import PassesMetadata
from .rows import check_columns, check_rows

Array = NDArray[Any]
COMBINES = ("probability", "logit")


class _RepeatedFolds(PassesMetadata, MetaEstimatorMixin, BaseEstimator):
    """Copies of an estimator, one a fold."""

    def __init__(
        self,
        estimator: Any = None,
        *,
        cv: Any = 5,
        repeats: int = 5,
        combine: str = "probability",
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.repeats = repeats
        self.combine = combine
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None, time: Any = None, **params: Any) -> Any:
        """Fit a copy on each fold.

        Args:
            X: a table, or a list of bags.
            y: (rows,) labels or numbers.
            sample_weight: (rows,), for the estimator.
            groups: (rows,) rows of one, such as a patient's, are never on both sides of a fold.
            time: (rows,) folds look only back, once.
            params: for the estimator.
        """
        if self.combine not in COMBINES:
            raise ParameterError("combine: " + unknown("way", str(self.combine), COMBINES))
        estimator = self._checked()
        X, y, classes, weight = check_rows(self, X, y, sample_weight)
        known = about(len(y), weight=weight, groups=groups, time=time)
        seed = seed_number(self.random_state)
        whole = isinstance(self.cv, (int, np.integer))
        split = as_split(self.cv, seed, self.repeats if whole and known.time is None else 1)
        folds = folds_of(self.cv, split, X, y, classes is not None, known)
        given = self._params_by_member({"estimator": estimator}, sample_weight=weight, groups=groups, time=time, **params)
        seeds = np.random.default_rng(seed).integers(np.iinfo(np.int32).max, size=len(folds)).tolist()
        found = out_of_fold(estimator, X, y, folds, classes=classes, fit_params=given["estimator"], seeds=seeds, n_jobs=self.n_jobs)
        self.estimators_ = found.models
        self.folds_ = found.folds
        self.out_of_fold_ = found.predictions
        if classes is not None:
            self.classes_ = classes
        there = ~np.isnan(found.predictions.reshape(len(y), -1)).any(axis=1)
        codes = np.asarray(y) if classes is None else np.searchsorted(classes, y)
        self.out_of_fold_score_ = self._metric().score(
            codes[there], self._thin(found.predictions[there]), None if weight is None else weight[there]
        )
        return self

    def predict_members(self, X: Any) -> list[Array]:
        """What each copy says: (rows,) numbers or (rows, classes) probabilities, as many as copies."""
        X = check_columns(self, X)
        return [predictions(model, X, getattr(self, "classes_", None)) for model in self.estimators_]

    def member_correlation(self, X: Any) -> float:
        """Mean correlation of the copies' predictions over all pairs. Near 1 they are one model, and the mean gains nothing."""
        said = np.stack([p.reshape(len(p), -1)[:, -1] for p in self.predict_members(X)])
        spread = said.std(axis=1) > 0
        if len(said) < 2 or not spread.all():
            return float("nan") if len(said) < 2 else 1.0
        table = np.corrcoef(said)
        return float((table.sum() - len(said)) / (len(said) * (len(said) - 1)))

    def gain_by_members(
        self, X: Any, y: Any, *, metric: str | Metric | None = None, sizes: Sequence[int] | None = None, draws: int = 20
    ) -> dict[int, float]:
        """The score of the mean of 1, 2, ... copies, itself a mean over `draws` choices of them.

        Args:
            X: rows that no copy has seen.
            y: their labels or numbers.
            metric: by name; the task's usual one by default.
            sizes: how many copies; 1, 5, 10, 25, ... up to all by default.
            draws: choices of copies for each size.

        Returns:
            Size to score.

        Raises:
            ParameterError: for sizes beyond the number of copies.
        """
        said = self.predict_members(X)
        codes = np.searchsorted(self.classes_, y) if hasattr(self, "classes_") else np.asarray(y, np.float64)
        chosen = self._metric() if metric is None else metric_named(metric, self._task())
        random = np.random.default_rng(0)
        whole = len(said)
        found = {}
        for size in sizes or sorted({k for k in (1, 5, 10, 25, 50, 100) if k < whole} | {whole}):
            if not 1 <= size <= whole:
                raise ParameterError(f"sizes: expected numbers from 1 to {whole}, got {size}")
            picks = [random.choice(whole, size, replace=False) for _ in range(draws if size < whole else 1)]
            found[size] = float(np.mean([chosen.score(codes, self._thin(self._combined([said[i] for i in pick]))) for pick in picks]))
        return found

    def _combined(self, said: Sequence[Array]) -> Array:
        if self.combine == "logit" and hasattr(self, "classes_"):
            return Pooled("geometric")(said)
        return Linear((1 / len(said),) * len(said))(said)

    def _thin(self, p: Array) -> Array:
        """Of two classes the second's probability."""
        return p[:, 1] if self._task() == "binary" else p

    def _task(self) -> Any:
        return "regression" if not hasattr(self, "classes_") else "binary" if len(self.classes_) == 2 else "multiclass"

    def _metric(self) -> Metric:
        return metric_named(None, self._task())

    def _checked(self) -> Any:
        classes = isinstance(self, ClassifierMixin)
        if self.estimator is None:
            return LogisticRegression(max_iter=1000) if classes else Ridge()
        if not (is_classifier if classes else is_regressor)(self.estimator):
            raise ParameterError(f"estimator: {type(self.estimator).__name__} is not a {'classifier' if classes else 'regressor'}")
        return self.estimator

    def _routed(self) -> Mapping[str, Any]:
        return {"estimator": self._checked()}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        try:
            inner = get_tags(self._checked())
        except ParameterError:
            return tags  # fit will say what is wrong
        tags.input_tags.allow_nan, tags.input_tags.sparse = inner.input_tags.allow_nan, inner.input_tags.sparse
        if not isinstance(self, ClassifierMixin):
            tags.target_tags.multi_output = inner.target_tags.multi_output
        return tags


class RepeatedFoldClassifier(ClassifierMixin, _RepeatedFolds):
    """The mean of cv x repeats copies of a classifier, each fitted without one fold of one split.

    p = mean of p_j over all copies j: every row is left out by `repeats` copies, so that out-of-fold predictions come with it.
    A mean is never worse in log loss or Brier score than its copies are on average (Jensen).

    Source: Filiot et al. 2024, arXiv 2409.09173, section 3.

    Args:
        estimator: any classifier, also one of bags (lists of arrays); logistic regression by default. Each copy has a `random_state` of
            its own.
        cv: number of folds, a `Split`, a splitter of scikit-learn or a list of (train, test).
        repeats: how often, with other draws, when cv is a number.
        combine: the mean of `probability`, or of `logit`.
        random_state: of folds and copies.
        n_jobs: processes that fit copies, as in scikit-learn.

    Attributes:
        estimators_: the copies.
        folds_: what each was fitted without.
        out_of_fold_: (rows, classes).
        out_of_fold_score_: log loss.
        classes_: the labels in the order of columns.
        n_features_in_: columns of X.

    Raises:
        ParameterError: for options; it is a ValueError.
        CompatibilityError: for rows that cannot be learnt from; it is a ValueError, too.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> found = RepeatedFoldClassifier(repeats=2).fit(X, y)
    >>> len(found.estimators_), found.score(X, y) > 0.95
    (10, True)
    """

    def predict_proba(self, X: Any) -> Array:
        """(rows, classes), in the order of `classes_`."""
        return self._combined(self.predict_members(X))

    def predict(self, X: Any) -> Array:
        """(rows,): the most probable label, the first of equals."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[places]
        return labels


class RepeatedFoldRegressor(RegressorMixin, _RepeatedFolds):
    """The mean of cv x repeats copies of a regressor, each fitted without one fold of one split.

    As `RepeatedFoldClassifier`, whose attributes it has but for classes_; out_of_fold_score_ is the root of the mean squared error.

    Args:
        estimator: any regressor; ridge regression by default.
        cv: folds, as in `RepeatedFoldClassifier`.
        repeats: how often, with other draws, when cv is a number.
        combine: says nothing here.
        random_state: of folds and copies.
        n_jobs: processes that fit copies, as in scikit-learn.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> RepeatedFoldRegressor(repeats=2).fit(X, y).score(X, y) > 0.4
    True
    """

    def predict(self, X: Any) -> Array:
        """(rows,) or (rows, outputs)."""
        return self._combined(self.predict_members(X))


def check_apart(fitted: Any, new: Any, *, what: str = "patient") -> None:
    """Raise CompatibilityError when an id is in both cohorts: what was learnt of it would be counted as foresight."""
    both = np.intersect1d(np.asarray(fitted), np.asarray(new)).tolist()
    if both:
        raise CompatibilityError(f"cohorts: {what} {both[0]!r} is in both, and {len(both)} in all; leave them out of one")
