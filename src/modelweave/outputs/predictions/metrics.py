"""How good predictions are: the metrics that ensembles are fitted to and judged by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError, unknown

Task = Literal["binary", "multiclass", "regression"]
Array = NDArray[Any]
Numbers = NDArray[np.float64]
CLASSES: tuple[Task, ...] = ("binary", "multiclass")
TINY = 1e-15
"""Probabilities below this count as this in a logarithm."""


@dataclass(frozen=True)
class Metric:
    """A measure of predictions: score = loss for errors, 1 - loss where greater is better.

    In all of it y are class numbers (rows,) or values, and p (rows,) probabilities of the second class, (rows, classes), or values.

    Attributes:
        name: in `blend(metric=...)`.
        title: in words.
        tasks: those it applies to.
        losses: (y, p) to one number a row, whose weighted mean, after `finish`, is the loss.
        finish: of the mean, such as the root.
        whole: (y, p, weight) to the loss of all rows at once, where it is no mean; `losses` is then what stands in where rows are compared
            one by one.
        gain: whether greater scores are better.
        needs_classes: whether rows of one class alone have no score.

    >>> METRICS["accuracy"].score(np.array([0, 1]), np.array([0.2, 0.4]))
    0.5
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    losses: Callable[[Array, Array], Numbers]
    finish: Callable[[float], float] = float
    whole: Callable[[Array, Array, Array | None], float] | None = None
    gain: bool = False
    needs_classes: bool = False

    def loss(self, y: Array, p: Array, weight: Array | None = None) -> float:
        """The smaller the better; 0 is perfect.

        Args:
            y: class numbers (rows,) or values.
            p: (rows,) or (rows, classes).
            weight: (rows,); None: all alike.
        """
        if self.whole is not None:
            return self.whole(y, p, weight)
        return self.finish(float(np.average(self.losses(y, p), weights=weight)))

    def score(self, y: Array, p: Array, weight: Array | None = None) -> float:
        """The number under the metric's usual name.

        Args:
            y: class numbers (rows,) or values.
            p: (rows,) or (rows, classes).
            weight: (rows,); None: all alike.
        """
        return self.of_loss(self.loss(y, p, weight))

    def of_loss(self, loss: float) -> float:
        """The usual number that belongs to a loss."""
        return 1 - loss if self.gain else loss


def true_class(y: Array, p: Array) -> Array:
    """The probability given to what occurred, (n,)."""
    if p.ndim == 1:
        return np.where(y == 1, p, 1 - p)
    picked: Array = np.take_along_axis(p, y[:, None], axis=1)[:, 0]
    return picked


def _log_losses(y: Array, p: Array) -> Numbers:
    return np.asarray(-np.log(np.maximum(true_class(y, p).astype(np.float64), TINY)))


def _brier_losses(y: Array, p: Array) -> Numbers:
    if p.ndim == 1:
        return np.asarray(2 * (p.astype(np.float64) - y) ** 2)
    right = true_class(y, p).astype(np.float64)
    return np.asarray(np.einsum("ij,ij->i", p, p, dtype=np.float64) - 2 * right + 1)


def _wrong(y: Array, p: Array) -> Numbers:
    return np.asarray(predicted(p) != y, np.float64)


def predicted(p: Array) -> Array:
    """The class with the highest probability, the first of equals; of two classes, the second only above one half."""
    called: Array = (p > 0.5).astype(np.intp) if p.ndim == 1 else p.argmax(axis=1)
    return called


def _rows(values: Array) -> Numbers:
    return np.asarray(values if values.ndim == 1 else values.mean(axis=1))


def _squares(y: Array, p: Array) -> Numbers:
    return _rows((p.astype(np.float64) - y) ** 2)


def _distances(y: Array, p: Array) -> Numbers:
    return _rows(np.abs(p.astype(np.float64) - y))


def _not_explained(y: Array, p: Array, weight: Array | None) -> float:
    """1 - R2, the mean over outputs."""
    about = np.average(y, axis=0, weights=weight)
    left = np.average((p.astype(np.float64) - y) ** 2, axis=0, weights=weight)
    spread = np.average((y - about) ** 2, axis=0, weights=weight)
    return float(np.mean(np.where(spread > 0, left / np.where(spread > 0, spread, 1), left > 0)))


def _not_ranked(y: Array, p: Array, weight: Array | None) -> float:
    """1 - area under the ROC curve: the chance that of a pair the wrong one is ahead, equals one half.

    Several classes: the mean of each against the rest.
    """
    if p.ndim == 1:
        return _wrong_pairs(y == 1, p, weight)
    return float(np.mean([_wrong_pairs(y == k, p[:, k], weight) for k in range(p.shape[1])]))


def _wrong_pairs(positive: Array, p: Array, weight: Array | None) -> float:
    share = np.ones(len(p)) if weight is None else np.asarray(weight, np.float64)
    order = np.argsort(p, kind="stable")
    values, share, up = p[order], share[order], positive[order]
    edges = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    ups = np.add.reduceat(np.where(up, share, 0.0), edges)
    downs = np.add.reduceat(np.where(up, 0.0, share), edges)
    above = downs.sum() - np.cumsum(downs)
    pairs = ups.sum() * downs.sum()
    return float(np.sum(ups * (above + downs / 2)) / pairs) if pairs > 0 else float("nan")


METRICS = {
    metric.name: metric
    for metric in (
        Metric("log_loss", "log loss", CLASSES, _log_losses),
        Metric("brier", "Brier score, summed over classes", CLASSES, _brier_losses),
        Metric("accuracy", "accuracy", CLASSES, _wrong, gain=True),
        Metric(
            "roc_auc",
            "area under the ROC curve, several classes: one against the rest",
            CLASSES,
            _brier_losses,
            whole=_not_ranked,
            gain=True,
            needs_classes=True,
        ),
        Metric("rmse", "root of the mean squared error", ("regression",), _squares, finish=math.sqrt),
        Metric("mse", "mean squared error", ("regression",), _squares),
        Metric("mae", "mean absolute error", ("regression",), _distances),
        Metric("r2", "share of variance explained", ("regression",), _squares, whole=_not_explained, gain=True),
    )
}


def metric_named(name: str | Metric | None, task: Task) -> Metric:
    """The metric of that name, or the usual one of the task; ParameterError where it does not fit."""
    if isinstance(name, Metric):
        return name
    if name is None:
        name = "rmse" if task == "regression" else "log_loss"
    if name not in METRICS:
        raise ParameterError("metric: " + unknown("metric", str(name), METRICS))
    metric = METRICS[name]
    if task not in metric.tasks:
        fits = ", ".join(m.name for m in METRICS.values() if task in m.tasks)
        raise ParameterError(f"metric: {name} does not apply to {task} predictions; those that do: {fits}")
    return metric
