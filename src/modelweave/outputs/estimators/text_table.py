"""`TextTableClassifier` and `TextTableRegressor`: tables with numbers, categories and text, predicted by stacked members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from ...errors import CompatibilityError, ParameterError, unknown
from ..predictions.learner import about
from ..predictions.metrics import Metric, Task, metric_named
from ..splits import Split
from ..text_table.column_types import ColumnTypes, as_table, column_types
from ..text_table.named import choose
from ..text_table.recipe import fit_plan
from ..text_table.stack import Fitted, Guard, Plan
from ..text_table.stacking import Problem, predict_nodes

Array = NDArray[Any]
MODES = ("single", "weighted", "stack")


class _TextTable(BaseEstimator):
    """What both estimators share."""

    column_types_: ColumnTypes
    fitted_: Fitted
    columns_: Array | None

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

    def _fit(self, X: Any, y: Array, classes: int, sample_weight: Any, groups: Any, time: Any) -> Any:
        """X: checked. y: class numbers, or numbers."""
        if self.mode not in MODES:
            raise ParameterError("mode: " + unknown("mode", str(self.mode), MODES))
        if self.calibrate not in (True, False, "auto"):
            raise ParameterError(f"calibrate: expected True, False or 'auto', got {self.calibrate!r}")
        task: Task = "regression" if not classes else ("binary" if classes == 2 else "multiclass")
        metric = metric_named(self.metric, task)
        if sample_weight is not None and not np.asarray(sample_weight).any():
            raise CompatibilityError("sample_weight: every weight is zero; give some rows a weight above zero")
        known = about(len(y), weight=sample_weight, groups=groups, time=time)
        table = as_table(X)
        types = column_types(table, self.column_types)
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = check_random_state(seed).randint(2**31 - 1)
        common: dict[str, Any] = {
            "classification": bool(classes),
            "options": self.options,
            "fusion": self.fusion,
            "encoder": self.encoder,
            "metric": self.metric,
            "seed": seed,
        }
        members = choose(self.members, types, **common)
        if self.stackers is None:
            plain = [member for member in members if member.family != "network" and not member.name.endswith("_embedding")]
            stackers = plain or members
        else:
            stackers = choose(self.stackers, types, **common) if len(self.stackers) else []
        calibrate = metric.name in ("log_loss", "brier") if self.calibrate == "auto" else bool(self.calibrate)
        split = self.folds if isinstance(self.folds, Split) else Split(self.folds, seed=seed)
        plan = Plan(members, stackers, types, split, self.mode, self.guard, calibrate, self.refit_full, self.n_jobs)  # type: ignore[arg-type]
        problem = Problem(y, classes, metric, known)
        found = fit_plan(plan, table, problem)
        self.column_types_, self.board_, self.columns_ = types, found.rows(problem), problem.labels
        # the targets are not kept
        self.fitted_ = found if found.blend is None else replace(found, blend=replace(found.blend, seen=None))
        return self

    def leaderboard(self) -> pd.DataFrame:
        """A row for the ensemble and for each member and level: score out-of-fold, weight, seconds to fit, to predict 1,000 rows."""
        check_is_fitted(self)
        return pd.DataFrame(self.board_)

    @property
    def weights_(self) -> dict[str, float]:
        """The weight of each member and level; 1 of a single one."""
        return {row["member"]: row["weight"] for row in self.board_ if row["member"] in {node.name for node in self.fitted_.nodes}}

    @property
    def guard_(self) -> Guard | None:
        """What the trial of the second level gave; None where there was none."""
        return self.fitted_.guard

    def predict_members(self, X: Any) -> dict[str, Array]:
        """Predictions of each member and level by name."""
        table = self._table(X)
        return predict_nodes(self.fitted_.nodes, table, self.columns_)

    def _predicted(self, X: Any) -> Array:
        table = self._table(X)
        return self.fitted_.predict(table, self.columns_)

    def _table(self, X: Any) -> pd.DataFrame:
        check_is_fitted(self)
        return as_table(_checked(self, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags


_DOC = """

    members: names of `modelweave.outputs.text_table.named.MEMBERS`, or a mapping from names to estimators that take DataFrames; by default
        boosting with and without text, extra trees, a linear model and a network with late fusion.
    mode: `single`, the best member on a hold-out, fitted on all rows; `weighted`, members fitted once and weighted on a hold-out;
        `stack`, members on folds, `stackers` on the columns and their out-of-fold predictions, greedy weights over both levels.
    stackers: members of the second level, by default all but networks; an empty list leaves it out.
    metric: as in `modelweave.blend`; chooses members, checkpoints and weights.
    folds: a number, or a `Split`. `groups` and `time` of `fit` are kept in folds, hold-outs and checks alike.
    column_types: column to numeric, categorical, text or drop, where the guess is wrong.
    fusion: late, early or all_text, and encoder: the folder of a transformers encoder, for the networks. options: parameters by member.
    guard: try the second level on a hold-out first, and leave it out unless it is better there.
    calibrate: fit a temperature; `auto` where the metric is of probabilities.
    refit_full: one model on all rows in place of each bag.

    Attributes: column_types_, weights_, guard_, and `leaderboard()`. Raises ParameterError for options, CompatibilityError for tables.
    Source: Shi et al. 2021, arXiv 2111.02705; greedy weights and the guard as AutoGluon 1.6 has them.
"""


class TextTableClassifier(ClassifierMixin, _TextTable):
    __doc__ = (
        "Classes from a table of numbers, categories and text, by members of several families."
        + _DOC
        + """
    >>> table = pd.DataFrame({"stars": [1, 5] * 20, "said": ["would not buy again", "works very well"] * 20})
    >>> model = TextTableClassifier(["linear"], mode="single", column_types={"said": "text"})
    >>> model = model.fit(table, ["bad", "good"] * 20)
    >>> model.predict(pd.DataFrame({"stars": [None], "said": ["works well"]})).tolist()
    ['good']
    """
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, time: Any = None) -> TextTableClassifier:
        """X: a DataFrame, or numbers (rows, columns). y: (rows,) labels. groups, time: a value a row."""
        X, y = _both(self, X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise CompatibilityError(f"y: expected at least two classes, got one class, {self.classes_[0]!r}")
        self._fit(X, codes.reshape(len(codes)), len(self.classes_), sample_weight, groups, time)
        return self

    def predict_proba(self, X: Any) -> Array:
        """(rows, classes) in the order of `classes_`."""
        return self._predicted(X)

    def predict(self, X: Any) -> Array:
        """The most probable label of each row."""
        p = self.predict_proba(X)
        found: Array = self.classes_[p.argmax(axis=1)]
        return found


class TextTableRegressor(RegressorMixin, _TextTable):
    __doc__ = (
        "Numbers from a table of numbers, categories and text, by members of several families."
        + _DOC
        + """
    >>> table = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0] * 10})
    >>> model = TextTableRegressor(["linear"], mode="single").fit(table, [2.0, 4.0, 6.0, 8.0] * 10)
    >>> model.predict(pd.DataFrame({"size": [2.5]})).round(2).tolist()
    [5.0]
    """
    )

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, time: Any = None) -> TextTableRegressor:
        """X: a DataFrame, or numbers (rows, columns). y: (rows,) numbers. groups, time: a value a row."""
        X, y = _both(self, X, y)
        try:
            y = np.asarray(y, np.float64)
        except (TypeError, ValueError):
            raise CompatibilityError(f"y: expected numbers, got {np.asarray(y).dtype}; TextTableClassifier takes labels") from None
        assert_all_finite(y, input_name="y")
        self._fit(X, y, 0, sample_weight, groups, time)
        return self

    def predict(self, X: Any) -> Array:
        """(rows,) numbers."""
        return self._predicted(X)


def _both(estimator: Any, X: Any, y: Any) -> tuple[Any, Array]:
    if y is None:
        raise CompatibilityError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    X = _checked(estimator, X, reset=True)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    missing = np.flatnonzero(pd.isna(y))
    if len(missing):
        raise CompatibilityError(f"y: row {missing[0]} is missing; leave out rows without a target")
    check_consistent_length(X, y)
    if len(y) < 2:
        raise CompatibilityError(f"X: expected at least two rows to learn from, got n_samples = {len(y)}")
    return X, y


def _checked(estimator: Any, X: Any, *, reset: bool) -> Any:
    """A DataFrame as it is, its names noted; anything else as numbers."""
    if isinstance(X, pd.DataFrame):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    return validate_data(estimator, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
