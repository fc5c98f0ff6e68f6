"""Members that are no scikit-learn estimators: torch modules and plain functions, fitted elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from ...errors import CompatibilityError, ParameterError, unknown

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
OUTPUTS = ("logits", "probabilities")
_NEAR = 1e-3


class _Frozen(BaseEstimator):
    """Something that predicts and learns nothing: `fit` does nothing, and a clone is the thing itself."""

    classes: Sequence[Any] | None

    def __sklearn_clone__(self) -> _Frozen:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, RegressorTags

        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        if self.classes is None:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        else:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        tags.target_tags.multi_output = self.classes is None
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any = None, **_: Any) -> _Frozen:
        """Nothing: it is fitted already.

        Args:
            X: not looked at.
            y: not looked at.
        """
        return self

    @property
    def classes_(self) -> Array:
        """The labels in the order of columns."""
        if self.classes is None:
            raise AttributeError("classes_")
        return np.asarray(self.classes)

    def _raw(self, X: Any) -> Array:
        raise NotImplementedError

    def _probabilities(self, X: Any) -> Array:
        """(rows, classes)."""
        p = self._raw(X)
        if p.ndim == 2 and p.shape[1] == 1:
            p = p[:, 0]
        labels = self.classes_
        if p.ndim == 1 and len(labels) == 2:
            p = np.column_stack([1 - p, p])
        if p.ndim != 2 or p.shape[1] != len(labels):
            raise CompatibilityError(f"{type(self).__name__}: expected {len(labels)} columns, one a class, got shape {p.shape}")
        if not np.isfinite(p).all() or p.min() < -_NEAR or np.abs(p.sum(axis=1) - 1).max() > _NEAR:
            raise CompatibilityError(
                f"{type(self).__name__}: expected probabilities that sum to 1 a row, got values from {p.min():.4g} to {p.max():.4g}; "
                "pass scores through a softmax or sigmoid first"
            )
        return p

    predict_proba = available_if(lambda self: self.classes is not None)(_probabilities)

    def predict(self, X: Any) -> Array:
        """(rows,) labels, or numbers where there are no classes."""
        if self.classes is not None:
            called: Array = self.classes_[self.predict_proba(X).argmax(axis=1)]
            return called
        values = self._raw(X)
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


class CallableMember(_Frozen):
    """A function of rows as a member of an ensemble.

    It must not know the rows the ensemble is fitted on: they count as rows it has not seen.

    Args:
        function: called with X as the ensemble gets it, or a part of its rows; gives probabilities (rows, classes) or (rows,) of the
            second class, or numbers.
        classes: labels in the order of columns; None for numbers.

    Raises:
        ParameterError: when it predicts, for a function that cannot be called.
        CompatibilityError: when it predicts, for values of another shape or that are no probabilities.

    >>> member = CallableMember(lambda X: X[:, 0], classes=["no", "yes"])
    >>> member.predict_proba(np.array([[0.25], [0.75]])).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """

    def __init__(self, function: Callable[[Any], Any], *, classes: Sequence[Any] | None = None) -> None:
        self.function = function
        self.classes = classes

    def _raw(self, X: Any) -> Array:
        if not callable(self.function):
            raise ParameterError(f"function: expected something to call with rows, got {type(self.function).__name__}")
        said = self.function(X)
        said = said.detach().cpu().numpy() if hasattr(said, "detach") else said
        found = np.asarray(said, dtype=np.float64)
        rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if found.ndim not in (1, 2) or len(found) != rows:
            raise CompatibilityError(f"CallableMember: expected a value for each of {rows} rows, got shape {found.shape}")
        return found


class TorchMember(_Frozen):
    """A fitted torch module as a member, run on batches in evaluation mode and without gradients, on the device it is on.

    It must not know the rows the ensemble is fitted on: they count as rows it has not seen.

    Args:
        module: rows -> (rows, classes) logits, (rows,) or (rows, 1) logits of the second class, or numbers; what it returns may have
            them as `logits`.
        classes: labels in the order of columns, None for numbers.
        outputs: `logits`, or `probabilities` where a softmax is part of the module.
        prepare: from some rows of X to what the module takes; by default a tensor, of the module's type unless X holds whole numbers.
        batch: rows in a batch, at least 1.

    Raises:
        ParameterError: when it predicts, for options.
        CompatibilityError: when it predicts, for rows that are no numbers, and values of another shape or that are no probabilities.

    >>> import torch
    >>> member = TorchMember(torch.nn.Identity(), classes=["no", "yes"])
    >>> member.predict_proba(np.array([[0.0, 0.0], [0.0, np.log(3)]])).round(2).tolist()
    [[0.5, 0.5], [0.25, 0.75]]
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        classes: Sequence[Any] | None = None,
        outputs: str = "logits",
        prepare: Callable[[Any], Any] | None = None,
        batch: int = 256,
    ) -> None:
        self.module = module
        self.classes = classes
        self.outputs = outputs
        self.prepare = prepare
        self.batch = batch

    def _raw(self, X: Any) -> Array:
        import torch
        from sklearn.utils import _safe_indexing

        from ...networks import forward

        if self.outputs not in OUTPUTS:
            raise ParameterError("outputs: " + unknown("kind", str(self.outputs), OUTPUTS))
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise ParameterError(f"batch: expected a whole number of at least 1, got {self.batch!r}")
        rows = X.shape[0] if hasattr(X, "shape") else len(X)

        def rows_of_batches() -> Iterator[Any]:
            for at in range(0, rows, self.batch):
                yield self._inputs(_safe_indexing(X, np.arange(at, min(at + self.batch, rows))), torch)

        return np.asarray(forward(self.module, rows_of_batches, call=lambda module, inputs: self._said(module(inputs))).numpy())

    def _said(self, said: Any) -> Any:
        said = getattr(said, "logits", said).detach().double().cpu()
        if self.classes is not None and self.outputs == "logits":
            said = said.softmax(-1) if said.ndim == 2 and said.shape[1] > 1 else said.sigmoid()
        return said

    def _inputs(self, rows: Any, torch: Any) -> Any:
        if self.prepare is not None:
            return self.prepare(rows)
        like = next(self.module.parameters(), None)
        # torch wants memory that may be written to, which columns of a pandas table are not
        values = np.require(rows.toarray() if hasattr(rows, "toarray") else rows, requirements="W")
        if values.dtype.kind not in "iuf":
            raise CompatibilityError(f"TorchMember: expected a table of numbers, got {values.dtype}; give prepare= to make tensors of rows")
        device = None if like is None else like.device
        if values.dtype.kind in "iu":
            return torch.as_tensor(values.astype(np.int64), device=device)
        return torch.as_tensor(values, dtype=torch.get_default_dtype() if like is None else like.dtype, device=device)
