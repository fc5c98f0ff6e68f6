"""The decomposition and the resampling study: by hand and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from modelweave.analysis.smoothers.decomposition import decompose
from modelweave.analysis.smoothers.effective import smoother_weights
from modelweave.analysis.smoothers.resampling import resample, resampling_summary
from modelweave.errors import CompatibilityError, ParameterError

from .made import made

X, Y, Q = made()


def test_decomposition_by_hand() -> None:
    # errors 1, 0.25, 4; distances from the second: 0.25, 0, 2.25
    found = decompose([[1.0, 1.0], [0.5, 0.5], [2.0, -2.0]], [0.0, 0.0])
    assert (found.representation_bias, found.best, found.mean_error) == (0.25, 1, 1.75)
    assert found.mean_excess == 1.5
    assert found.model_variability == pytest.approx((0.25 + 0 + (1.5**2 + 2.5**2) / 2) / 3)


def test_decomposition_of_equal_refits_has_no_variability() -> None:
    found = decompose(np.tile(Y, (4, 1)), Y + 1)
    assert found.model_variability == 0 and found.mean_excess == 0 and found.representation_bias == pytest.approx(1)


def test_degrees_of_a_fixed_smoother_are_its_weights_times_covariances() -> None:
    """sum_i cov(y_i, (S y)_i) = sum_ij S_ij cov(y_i, y_j) exactly, and trace(S) in the limit."""
    S, T = (smoother_weights(LinearRegression().fit(X, Y), X, rows) for rows in (X, Q))
    labels = Y + 0.5 * np.random.default_rng(3).standard_normal((40, len(Y)))
    found = resampling_summary(labels, labels @ S.T, labels @ T.T, T @ Y, 0.5)
    spread = np.cov(labels.T)
    assert found.degrees == pytest.approx(np.sum(S * spread) / 0.25)
    assert found.variance_query == pytest.approx(np.mean(np.diag(T @ spread @ T.T)))
    assert found.variance_train == pytest.approx(np.mean(np.diag(S @ spread @ S.T)))
    many = resample(lambda r: LinearRegression(), X, Y, Q, T @ Y, sigma=0.5, refits=400, seed=1)
    assert many.degrees == pytest.approx(6, abs=0.6)
    assert many.variance_train == pytest.approx(0.25 * 6 / len(X), rel=0.15)


def test_a_model_that_repeats_its_labels_has_a_degree_for_each() -> None:
    drawn = 0.5 * np.random.default_rng(9).standard_normal((5, len(Y)))
    found = resample(lambda r: DecisionTreeRegressor(random_state=r), X, Y, Q, np.zeros(len(Q)), sigma=0.5, refits=5, seed=9)
    assert found.degrees == pytest.approx(np.var(drawn, axis=0, ddof=1).sum() / 0.25)
    assert found == resample(lambda r: DecisionTreeRegressor(random_state=r), X, Y, Q, np.zeros(len(Q)), sigma=0.5, refits=5, seed=9)


def test_bad_input() -> None:
    with pytest.raises(CompatibilityError, match="expected"):
        decompose([[1.0]], [1.0, 2.0])
    with pytest.raises(CompatibilityError, match="expected"):
        decompose(np.zeros((0, 2)), [1.0, 2.0])
    with pytest.raises(CompatibilityError, match="finite"):
        decompose([[np.nan]], [1.0])
    with pytest.raises(ParameterError, match="sigma"):
        resample(lambda r: LinearRegression(), X, Y, Q, np.zeros(len(Q)), sigma=0)
    with pytest.raises(ParameterError, match="refits"):
        resample(lambda r: LinearRegression(), X, Y, Q, np.zeros(len(Q)), refits=1)
    with pytest.raises(CompatibilityError, match="one label a row"):
        resample(lambda r: LinearRegression(), X, Y[:3], Q, np.zeros(len(Q)))
    with pytest.raises(CompatibilityError, match="R of 2"):
        resampling_summary(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)), np.zeros(2), 1.0)
