"""Redraw the labels on fixed rows and fit again: variance of the predictions and degrees of freedom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from .rows import Floats


@dataclass(frozen=True)
class Resampling:
    """variance_train, variance_query: mean over rows of the variance of predictions over redraws. degrees: degrees of freedom,
    sum_i cov(y_i, prediction_i) / sigma^2. error: mean squared distance of predictions at the queries from their noise-free labels."""

    variance_train: float
    variance_query: float
    degrees: float
    error: float


def resampling_summary(labels: Floats, fitted: Floats, queried: Floats, signal: Floats, sigma: float) -> Resampling:
    """Variances and degrees of freedom, sum_i cov(y_i, f(x_i)) / sigma^2, over R redraws of the labels. Covariances divide by R - 1.

    labels, fitted: (R, n) drawn labels and predictions at the training rows. queried: (R, m) predictions at queries, signal: (m,) their
    noise-free labels. sigma: standard deviation of the noise, above 0. The code of the paper leaves out the division by sigma^2.

    Raises ParameterError for sigma, CompatibilityError for fewer than 2 redraws or shapes that do not fit.
    Source: Curth et al. 2024, arXiv 2402.01502, section 4.

    >>> y = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> resampling_summary(y, y, y, np.array([1.0, 2.0]), 1.0)
    Resampling(variance_train=2.0, variance_query=2.0, degrees=4.0, error=1.0)
    """
    _check_sigma(sigma)
    if labels.ndim != 2 or labels.shape != fitted.shape or queried.shape != (len(labels), len(signal)) or len(labels) < 2:
        raise CompatibilityError(
            f"labels {labels.shape}, fitted {fitted.shape}, queried {queried.shape}, signal {signal.shape}: expected (R, n), (R, n), "
            "(R, m) and (m,) with R of 2 or more"
        )
    together = np.sum((labels - labels.mean(axis=0)) * (fitted - fitted.mean(axis=0))) / (len(labels) - 1)
    return Resampling(
        float(np.mean(np.var(fitted, axis=0, ddof=1))),
        float(np.mean(np.var(queried, axis=0, ddof=1))),
        float(together / sigma**2),
        float(np.mean((queried - signal) ** 2)),
    )


def resample(
    make: Callable[[int], Any], X: Any, signal: Any, X_query: Any, signal_query: Any, *, sigma: float = 1.0, refits: int = 50, seed: int = 0
) -> Resampling:
    """Hold X fixed, draw y = signal + sigma N(0, 1), fit make(r) for r = 0 .. refits - 1, and summarize.

    The same seed draws the same labels. Degrees of freedom are sum_i cov(y_i, f(x_i)) / sigma^2.

    Args:
        make: a new model with `fit` and `predict` from a seed.
        X: (n, features), the training rows.
        signal: (n,) their noise-free labels.
        X_query: (m, features), other rows.
        signal_query: (m,) their noise-free labels.
        sigma: standard deviation of the noise, above 0.
        refits: how often, 2 or more.
        seed: of the labels.

    Raises:
        ParameterError: for sigma and refits.
        CompatibilityError: for labels that are not one a row.

    Source: Curth et al. 2024, arXiv 2402.01502, section 4.

    >>> class Mean:
    ...     def fit(self, X, y): self.value = y.mean(); return self
    ...     def predict(self, X): return np.full(len(X), self.value)
    >>> round(resample(lambda r: Mean(), np.zeros((9, 1)), np.zeros(9), np.zeros((2, 1)), np.zeros(2), refits=2000).degrees, 1)
    1.0
    """
    _check_sigma(sigma)
    if refits < 2:
        raise ParameterError(f"refits must be 2 or more, got {refits}")
    wanted, elsewhere = np.asarray(signal, dtype=np.float64), np.asarray(signal_query, dtype=np.float64)
    if wanted.ndim != 1 or len(wanted) != len(X) or elsewhere.ndim != 1 or len(elsewhere) != len(X_query):
        raise CompatibilityError(
            f"signal {wanted.shape} for {len(X)} rows, signal_query {elsewhere.shape} for {len(X_query)}: give one label a row"
        )
    labels = wanted + sigma * np.random.default_rng(seed).standard_normal((refits, len(wanted)))
    fitted, queried = np.empty_like(labels), np.empty((refits, len(elsewhere)))
    for place, drawn in enumerate(labels):
        model = make(place)
        model.fit(X, drawn)
        fitted[place], queried[place] = model.predict(X), model.predict(X_query)
    return resampling_summary(labels, fitted, queried, elsewhere, sigma)


def _check_sigma(sigma: float) -> None:
    if not (np.isfinite(sigma) and sigma > 0):
        raise ParameterError(f"sigma must be a finite number above 0, got {sigma}")
