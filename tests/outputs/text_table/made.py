"""A small table of every kind of column, with gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

GOOD, BAD = ("good", "fine", "works", "love"), ("bad", "poor", "broke", "hate")


def made(rows: int = 120, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    """Columns size (numbers), shop (words), said (text); the label is told by all three, the text most."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    told = np.where(random.random(rows) < 0.85, y, 1 - y)
    filler = np.array([f"w{k}" for k in range(30)])[random.integers(0, 30, (rows, 3))]
    words = np.array([BAD, GOOD])[told, random.integers(0, 4, rows)]
    table = pd.DataFrame(
        {"size": random.standard_normal(rows) + 0.7 * y, "shop": np.array(["north", "south"])[(random.random(rows) < 0.3 + 0.3 * y) * 1]}
    )
    table["said"] = [f"{a} {b} {w} {c}" for (a, b, c), w in zip(filler.tolist(), words.tolist(), strict=True)]
    table.loc[::10, "size"] = np.nan
    table.loc[1::10, "shop"] = None
    table.loc[2::10, "said"] = None
    return table, y


CHEAP = {
    "gbm": {"rounds": 10, "leaves": 4, "least": 5},
    "gbm_tabular": {"rounds": 10, "leaves": 4, "least": 5},
    "extra_trees": {"trees": 15},
    "network": {"epochs": 2, "width": 8, "depth": 1},
    "network_text": {"epochs": 2, "width": 8, "depth": 1},
}


class Spy(ClassifierMixin, BaseEstimator):
    """Keeps the row numbers it has learnt from (a planted column) and the table; says the truth of rows it knows."""

    def fit(self, X, y, sample_weight=None):
        self.classes_, self.table_ = np.unique(y), X
        self.known_ = dict(zip(X["row"].tolist(), np.asarray(y).tolist(), strict=True))
        return self

    def predict_proba(self, X):
        p = np.array([self.known_.get(row, 0.5) for row in X["row"].tolist()], float)
        return np.column_stack([1 - p, p])
