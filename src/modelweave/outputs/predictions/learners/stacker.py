"""Linear models on all members at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....extras import extra
from ..learner import FittedRule
from ..metrics import Metric
from ..pool import Array, Pool
from ..rules import Stacker, stacker_features


def logistic(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, strength: float = 1.0, **_: Any) -> FittedRule:
    """Logistic regression on the members' logits (two classes) or log-probabilities, with an L2 penalty.

    It can correct members that are too sure and may give negative weights. strength: the inverse C of scikit-learn's penalty.
    """
    link = "sigmoid" if pool.task == "binary" else "softmax"
    features = stacker_features(pool.values, link)
    spread = float(features.std()) or 1.0
    model = (
        extra("sklearn.linear_model", "tabular")
        .LogisticRegression(C=1 / strength, max_iter=1000, tol=1e-6)
        .fit(features / spread, y, sample_weight=weight)
    )
    coefficients, intercept = np.asarray(model.coef_) / spread, np.asarray(model.intercept_)
    if link == "softmax":
        coefficients, intercept = _all_classes(coefficients, intercept, model.classes_, pool.values[0].shape[1])
    return FittedRule(Stacker(link, tuple(map(tuple, coefficients.tolist())), tuple(intercept.tolist())))


def _all_classes(coefficients: Array, intercept: Array, seen: Array, classes: int) -> tuple[Array, Array]:
    """A row a class; a class without a row to learn from cannot be foretold."""
    if len(seen) == 2:
        coefficients, intercept = np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercept, intercept] / 2
    whole, offset = np.zeros((classes, coefficients.shape[1])), np.full(classes, -30.0)
    whole[seen], offset[seen] = coefficients, intercept
    return whole, offset


def ridge(pool: Pool, y: Array, metric: Metric, *, weight: Array | None = None, strength: float = 1.0, **_: Any) -> FittedRule:
    """Ridge regression on the members' numbers, centred, with an intercept; weights may be negative and need not sum to 1."""
    features = stacker_features(pool.values, "identity")
    share = np.full(len(y), 1.0) if weight is None else np.asarray(weight, np.float64)
    targets = y.reshape(len(y), -1)
    middle, about = np.average(features, axis=0, weights=share), np.average(targets, axis=0, weights=share)
    centred = features - middle
    spread = float(np.sqrt(np.average(centred**2, weights=np.broadcast_to(share[:, None], centred.shape)))) or 1.0
    gram = (centred * share[:, None]).T @ centred / spread**2 + strength * np.eye(features.shape[1])
    coefficients = np.linalg.solve(gram, (centred * share[:, None]).T @ (targets - about) / spread**2).T
    intercept = about - coefficients @ middle
    return FittedRule(Stacker("identity", tuple(map(tuple, coefficients.tolist())), tuple(intercept.tolist())))
