"""Trees and linear models as estimators that take a table with typed columns."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from ...errors import ParameterError
from .column_types import NO_COLUMNS, ColumnTypes
from .text_features import NGRAMS, LinearFeatures, NgramCounts, TreeFeatures

Array = NDArray[Any]


class TypedEstimator(BaseEstimator):
    """What all share: `types`, the columns they read and how; `classification`, which decides between `predict_proba` and numbers."""

    types: ColumnTypes
    classification: bool

    def predict_proba(self, table: Any) -> Array:
        """(rows, classes)."""
        return np.asarray(self.model_.predict_proba(self.features_.transform(table)), np.float64)

    def predict(self, table: Any) -> Array:
        """Class labels, or numbers."""
        if self.classification:
            return np.asarray(self.classes_[self.predict_proba(table).argmax(axis=1)])
        return np.asarray(self.model_.predict(self.features_.transform(table)), np.float64)

    def _fit_model(self, X: Any, y: Array, sample_weight: Any, **more: Any) -> TypedEstimator:
        with warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model_ = self._model().fit(X, y, sample_weight=sample_weight, **more)
        if self.classification:
            self.classes_ = self.model_.classes_
        return self

    def _model(self) -> Any:
        raise NotImplementedError


class Boosting(TypedEstimator):
    """Gradient boosting on numbers, categories, shapes of texts and n-gram counts: LightGBM where it is installed, else scikit-learn's.

    engine: auto, lightgbm, sklearn. rounds: trees. ngrams: None leaves text out. network: a `Network` whose vectors join as numbers;
    `frozen` takes its encoder as it comes. The network learns from the same rows as the trees, so their vectors fit those rows
    better than others.
    """

    def __init__(
        self,
        types: ColumnTypes = NO_COLUMNS,
        classification: bool = True,
        engine: str = "auto",
        rounds: int = 120,
        rate: float = 0.05,
        leaves: int = 16,
        least: int = 20,
        share: float = 1.0,
        ngrams: NgramCounts | None = NGRAMS,
        network: Any = None,
        frozen: bool = False,
        seed: int = 0,
    ) -> None:
        self.types, self.classification, self.engine, self.rounds, self.rate = types, classification, engine, rounds, rate
        self.leaves, self.least, self.share, self.ngrams = leaves, least, share, ngrams
        self.network, self.frozen, self.seed = network, frozen, seed

    def fit(self, table: Any, y: Array, sample_weight: Any = None, groups: Any = None, time: Any = None) -> Boosting:
        """Fit features and trees."""
        features = TreeFeatures(self.types, self.ngrams)
        if self.network is not None:
            features = _WithVectors(features, self.network, self.frozen)
            features.fit_network(table, y, sample_weight, groups, time)
        self.features_ = features.fit(table)
        X = features.transform(table)
        if self._engine() == "lightgbm":
            self._fit_model(X, y, sample_weight, categorical_feature=np.flatnonzero(features.categorical).tolist())
        else:
            self._fit_model(X, y, sample_weight)
        return self

    def _engine(self) -> str:
        from importlib.util import find_spec

        if self.engine not in ("auto", "lightgbm", "sklearn"):
            raise ParameterError(f"engine: expected auto, lightgbm or sklearn, got {self.engine!r}")
        if self.engine == "auto":
            return "lightgbm" if find_spec("lightgbm") is not None else "sklearn"
        return self.engine

    def _model(self) -> Any:
        if self._engine() == "lightgbm":
            import lightgbm

            kind = lightgbm.LGBMClassifier if self.classification else lightgbm.LGBMRegressor
            return kind(
                n_estimators=self.rounds,
                learning_rate=self.rate,
                num_leaves=self.leaves,
                min_child_samples=self.least,
                colsample_bytree=self.share,
                random_state=self.seed,
                verbose=-1,
            )
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        return (HistGradientBoostingClassifier if self.classification else HistGradientBoostingRegressor)(
            max_iter=self.rounds,
            learning_rate=self.rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.least,
            max_features=self.share,
            categorical_features=self.features_.categorical,
            early_stopping=False,
            random_state=self.seed,
        )


class ExtraTrees(TypedEstimator):
    """Extremely randomised trees on the same features."""

    def __init__(
        self,
        types: ColumnTypes = NO_COLUMNS,
        classification: bool = True,
        trees: int = 200,
        least: int = 3,
        ngrams: NgramCounts | None = NGRAMS,
        seed: int = 0,
    ) -> None:
        self.types, self.classification, self.trees, self.least, self.ngrams, self.seed = types, classification, trees, least, ngrams, seed

    def fit(self, table: Any, y: Array, sample_weight: Any = None) -> ExtraTrees:
        """Fit features and trees."""
        self.features_ = TreeFeatures(self.types, self.ngrams).fit(table)
        self._fit_model(self.features_.transform(table), y, sample_weight)
        return self

    def _model(self) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        kind = ExtraTreesClassifier if self.classification else ExtraTreesRegressor
        return kind(self.trees, min_samples_leaf=self.least, max_features="sqrt", random_state=self.seed)


class LinearModel(TypedEstimator):
    """Logistic or ridge regression on TF-IDF, flags of categories and standardised numbers. C: inverse of the penalty."""

    def __init__(
        self, types: ColumnTypes = NO_COLUMNS, classification: bool = True, C: float = 1.0, most: int = 10_000, seed: int = 0
    ) -> None:
        self.types, self.classification, self.C, self.most, self.seed = types, classification, C, most, seed

    def fit(self, table: Any, y: Array, sample_weight: Any = None) -> LinearModel:
        """Fit features and coefficients."""
        self.features_ = LinearFeatures(self.types, self.most).fit(table)
        self._fit_model(self.features_.transform(table), y, sample_weight)
        return self

    def _model(self) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        return LogisticRegression(C=self.C, max_iter=500) if self.classification else Ridge(alpha=1 / self.C, solver="lsqr")


class _WithVectors(TreeFeatures):
    """Features of trees and, after them, the vectors of a network."""

    def __init__(self, plain: TreeFeatures, network: Any, frozen: bool) -> None:
        super().__init__(plain.types, plain.ngrams)
        self.network, self.frozen = network, frozen

    def fit_network(self, table: Any, y: Array, sample_weight: Any, groups: Any, time: Any) -> None:
        """Train the network on these rows, unless it is frozen."""
        from sklearn.base import clone

        self.fitted = clone(self.network)
        if self.frozen:
            self.fitted.prepare(table)
        else:
            self.fitted.fit(table, y, sample_weight, groups, time)

    def transform(self, table: Any) -> NDArray[np.float32]:
        """(rows, features)."""
        return np.hstack([super().transform(table), self.fitted.vectors(table).astype(np.float32)])
