"""Tables of two classes, standardised: many features of which few say something, an outlying group, and measured ones."""

from __future__ import annotations

from typing import Any

import torch

ROWS, FEATURES, TEST_ROWS = 500, 400, 4000
Tensor = torch.Tensor
Data = tuple[Tensor, Tensor, Tensor, Tensor]
"""Training rows and their labels, test rows and theirs."""


def make_data(seed: int, test_rows: int = TEST_ROWS, noise: float = 0.0) -> Data:
    """Rows of two classes, 20 of 400 features informative; noise: the share of labels drawn by chance. Standardised."""
    from sklearn.datasets import make_classification

    options = {"n_informative": 20, "n_redundant": 0, "flip_y": noise, "class_sep": 1.0, "random_state": seed}
    X, y = make_classification(ROWS + test_rows, FEATURES, **options)
    return _split(X, y, ROWS)


def measured_data(seed: int) -> dict[str, Data]:
    """scikit-learn's tables, half of the rows for training: tumours, and digits by whether they are even."""
    from sklearn.datasets import load_breast_cancer, load_digits

    random = torch.Generator().manual_seed(seed)
    found = {}
    for word, (X, y) in {"tumours": load_breast_cancer(return_X_y=True), "even digits": load_digits(return_X_y=True)}.items():
        order = torch.randperm(len(y), generator=random).numpy()
        found[word] = _split(X[order], y[order] % 2, min(ROWS, len(y) // 2))
    return found


def far_group(seed: int) -> Data:
    """100 rows each at 1 and 20 (class 1), at -1 and 0 (class 0), with noise of deviation 0.05; train and test are the same rows."""
    places = torch.tensor([1.0, 20.0, -1.0, 0.0]).repeat_interleave(100)
    X = (places + 0.05 * torch.randn(400, generator=torch.Generator().manual_seed(seed)))[:, None]
    y = (places > 0).float()
    return X, y, X, y


def _split(X: Any, y: Any, rows: int) -> Data:
    mean, deviation = X[:rows].mean(axis=0), X[:rows].std(axis=0)
    X = torch.tensor((X - mean) / (deviation + (deviation == 0)), dtype=torch.float32)
    y = torch.tensor(y, dtype=torch.float32)
    return X[:rows], y[:rows], X[rows:], y[rows:]
