"""What the estimators that are made of others share: how rows come in and predictions go out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError
from ..predictions.blended import named_alpha
from ..predictions.learner import about
from ..predictions.metrics import metric_named
from ..predictions.published import learner_of
from .cross_validation import PREFIT, as_split, folds_of
from .member_list import HasMembers, Named
from .rows import check_columns, check_rows
from .table import Table
from .tower import Tower

Array = NDArray[Any]


class Composed(HasMembers):
    """An ensemble of estimators: its rows, its options, what it keeps when fitted."""

    @property
    def _prefit(self) -> bool:
        return isinstance(self.cv, str) and self.cv == PREFIT

    def _checked_metric(self, classes: Array | None) -> str | Any:
        """The metric to go by; what is wrong with it or the method is said before anything is fitted."""
        if self.method != "auto":
            learner_of(self.method).settle(self.options or {}, self.preset)
        elif self.options:
            raise ParameterError(f"options: method 'auto' takes none, got {', '.join(self.options)}")
        task = "regression" if classes is None else "binary" if len(classes) == 2 else "multiclass"
        return metric_named(self.metric, task).name if not hasattr(self.metric, "loss") else self.metric  # type: ignore[arg-type]

    def _table(self, X: Any, y: Any, members: Named, seed: int, repeats: int = 1, **per_row: Any) -> Table:
        """The rows, checked, and their folds."""
        rows = check_rows(self, X, y, per_row["sample_weight"], labels=_known_labels(members), one_class=self._prefit)
        X, y, classes, weight = rows
        segments = self._segments(X)
        known = about(len(y), weight=weight, segments=segments, groups=per_row["groups"], time=per_row["time"])
        split = as_split(self.cv, seed, repeats)
        none = self._prefit and not self._needs_folds()
        folds = () if none else folds_of(self.cv, split, X, y, classes is not None, known)
        return Table(X, y, classes, folds, known, split)

    def _needs_folds(self) -> bool:
        """Whether anything is fitted in folds when the members are fitted already."""
        return False

    def _segments(self, X: Any) -> Array | None:
        """Each row's segment, from the column that is named as such."""
        if self.segments is None:
            return None
        try:
            column = X[self.segments] if hasattr(X, "columns") else np.asarray(X)[:, self.segments]
        except (KeyError, IndexError, TypeError):
            raise ParameterError(f"segments: expected a column of X, by name or number, got {self.segments!r}") from None
        return np.asarray(column)

    def _blending(self, classes: Array | None) -> dict[str, Any]:
        """Options of `modelweave.blend`."""
        fall_back = self.fall_back
        if fall_back is None and self.method != "auto" and not learner_of(self.method).learns:
            fall_back = False
        given = {
            "method": self.method,
            "metric": self._checked_metric(classes),
            "preset": self.preset,
            "calibration": getattr(self, "calibration", "none"),
            "fall_back": fall_back,
        }
        return given | dict(self.options or {})

    def _take_tower(self, tower: Tower) -> None:
        """The attributes that follow from what was fitted."""
        self._tower = tower
        if tower.blend is not None:
            self.blend_ = tower.blend
            self.weights_ = dict(tower.blend.weights)
            self.verdict_ = tower.blend.verdict
        if tower.classes is not None:
            self.classes_ = tower.classes

    def __getstate__(self) -> Any:
        """A pickle leaves out the rows that the blend was made from, as a saved blend does."""
        state = dict(super().__getstate__())
        if "blend_" in state:
            state["blend_"] = replace(state["blend_"], seen=None)
            state["_tower"] = replace(state["_tower"], blend=state["blend_"])
        return state

    def _predict(self, X: Any) -> Array:
        """What the ensemble says of rows."""
        X = self._checked(X)
        return self._tower.predict(X, self._segments(X))

    def _checked(self, X: Any) -> Any:
        """Rows to predict, with the columns that were fitted on."""
        return check_columns(self, X)

    def predict_set(self, X: Any, *, alpha: float = 0.1, miss: float | None = None) -> Array:
        """Sets that hold the truth with a chance of about 1 - alpha; see `Blend.predict_set`, which this hands the members' predictions to.

        Args:
            X: (rows, columns).
            alpha: in (0, 1), the chance to miss.
            miss: the former name of alpha.

        Returns:
            (rows, classes) of flags, or (rows, 2) ends of intervals.
        """
        alpha = named_alpha(alpha, miss)
        X = self._checked(X)
        return self.blend_.predict_set(self._tower.say(X), alpha=alpha, segments=self._segments(X))


class Classes:
    """Probabilities and labels."""

    def predict_proba(self, X: Any) -> Array:
        """(rows, classes), in the order of `classes_`."""
        return self._predict(X)  # type: ignore[attr-defined, no-any-return]

    def predict(self, X: Any) -> Array:
        """(rows,): the most probable label, the first of equals."""
        places = self.predict_proba(X).argmax(axis=1)
        return self.classes_[places]  # type: ignore[attr-defined, no-any-return]


class Numbers:
    """Numbers."""

    def predict(self, X: Any) -> Array:
        """(rows,) or (rows, outputs)."""
        return self._predict(X)  # type: ignore[attr-defined, no-any-return]


def _known_labels(members: Named) -> list[Array]:
    """Labels that members know already, such as frozen ones."""
    return [np.asarray(model.classes_) for _, model in members if isinstance(getattr(model, "classes_", None), (np.ndarray, list, tuple))]
