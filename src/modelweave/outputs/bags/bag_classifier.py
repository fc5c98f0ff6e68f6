"""A classifier of bags: sets of vectors with one label, such as the tiles of a slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ...errors import CompatibilityError, ParameterError

Array = NDArray[Any]


class BagClassifier(ClassifierMixin, BaseEstimator):
    """A gated attention head on frozen features, trained from scratch.

    Adam on the cross-entropy for a fixed number of epochs; batches are shuffled, and an incomplete last one is left out unless it is the
    only one. Give it to `RepeatedFoldClassifier` for the ensemble of Filiot et al. 2024 (arXiv 2409.09173).

    Args:
        hidden: width of the head.
        epochs: passes over the bags.
        rate: the learning rate, above 0.
        batch: bags in a batch.
        tiles: at most so many instances of a bag, drawn once.
        random_state: of the weights, the draws and the order.

    Attributes:
        classes_: the labels in the order of columns.
        head_: the trained module.

    Raises:
        ParameterError: for options below 1.
        CompatibilityError: for bags that are empty, hold NaN or differ in width, and for labels of one class.

    >>> bags = [np.full((2, 3), float(k % 2)) for k in range(8)]
    >>> found = BagClassifier(hidden=4, epochs=60, rate=0.05).fit(bags, [k % 2 for k in range(8)])
    >>> found.predict(bags).tolist()
    [0, 1, 0, 1, 0, 1, 0, 1]
    """

    def __init__(
        self, hidden: int = 128, *, epochs: int = 100, rate: float = 1e-3, batch: int = 16, tiles: int = 5000, random_state: int | None = 0
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.rate = rate
        self.batch = batch
        self.tiles = tiles
        self.random_state = random_state

    def fit(self, X: Sequence[Array] | Array, y: Any) -> BagClassifier:
        """Train the head.

        Args:
            X: list of (instances, width) arrays, or a table, whose rows are bags of one.
            y: a label a bag.
        """
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        from ...networks import Batches, fit, seeded
        from .attention_head import AttentionHead, pad

        for name, least in (("hidden", 1), ("epochs", 1), ("batch", 1), ("tiles", 1)):
            if getattr(self, name) < least:
                raise ParameterError(f"BagClassifier: {name} must be at least {least}, got {getattr(self, name)}")
        seed = 0 if self.random_state is None else int(self.random_state)
        bags = self._bags(X, seed)
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        if len(codes) != len(bags):
            raise CompatibilityError(f"BagClassifier: expected a label for each of {len(bags)} bags, got {len(codes)}")
        if len(self.classes_) < 2:
            raise CompatibilityError(f"BagClassifier: all {len(bags)} bags have the one class {self.classes_[0]!r}; expected two at least")
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        with seeded(seed):
            head = AttentionHead(bags[0].shape[1], self.hidden, outputs)
        targets = torch.as_tensor(codes)

        def loss(network: Any, rows: list[int]) -> torch.Tensor:
            scores, _attention = network(*pad([bags[i] for i in rows]))
            if outputs == 1:
                return binary_cross_entropy_with_logits(scores[:, 0], targets[rows].float())
            return cross_entropy(scores, targets[rows])

        batches = Batches(range(len(bags)), size=self.batch, shuffle=True, seed=seed, drop_last=True, collate=list)
        fit(head, batches, loss, optimizer=torch.optim.Adam(head.parameters(), self.rate), epochs=self.epochs)
        self.head_ = head.eval()
        return self

    def predict_proba(self, X: Sequence[Array] | Array) -> Array:
        """(bags, classes)."""
        import torch

        scores = torch.cat([scores for scores, _ in self._scores(X)])
        if scores.shape[1] == 1:
            p = scores[:, 0].double().sigmoid()
            return np.asarray(torch.stack([1 - p, p], dim=1).numpy())
        return np.asarray(scores.double().softmax(dim=1).numpy())

    def predict(self, X: Sequence[Array] | Array) -> Array:
        """(bags,): the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[places]
        return labels

    def attention(self, X: Sequence[Array] | Array) -> list[Array]:
        """The attention weights of each bag's instances, which sum to 1, of those that are drawn."""
        found = [row[row_padded] for _, (attention, there) in self._scores(X) for row, row_padded in zip(attention, there, strict=True)]
        return [np.asarray(row.numpy()) for row in found]

    def _scores(self, X: Sequence[Array] | Array) -> list[tuple[Any, tuple[Any, Any]]]:
        from ...networks import Batches, stream
        from .attention_head import pad

        check_is_fitted(self)
        bags = self._bags(X, 0 if self.random_state is None else int(self.random_state))
        width = self.head_.embed.in_features
        if bags[0].shape[1] != width:
            raise CompatibilityError(f"BagClassifier: expected instances of {width} numbers, got {bags[0].shape[1]}")

        def ask(head: Any, part: list[Any]) -> tuple[Any, tuple[Any, Any]]:
            instances, padded = pad(part)
            scores, attention = head(instances, padded)
            return scores, (attention, ~padded)

        return list(stream(self.head_, Batches(bags, size=64, collate=list), call=ask))

    def _bags(self, X: Sequence[Array] | Array, seed: int) -> list[Any]:
        import torch

        rows = [np.atleast_2d(np.asarray(bag, np.float32)) for bag in X]
        if not rows:
            raise CompatibilityError("BagClassifier: expected at least one bag, got none")
        for number, bag in enumerate(rows):
            if bag.ndim != 2 or not bag.size or bag.shape[1] != rows[0].shape[1]:
                wanted = f"(instances, {rows[0].shape[-1]})"
                raise CompatibilityError(f"BagClassifier: bag {number} has shape {bag.shape}, expected {wanted} and an instance at least")
            if not np.isfinite(bag).all():
                raise CompatibilityError(f"BagClassifier: bag {number} holds NaN or infinity; fix its features")
        random = np.random.default_rng(seed)
        drawn = [b if len(b) <= self.tiles else b[np.sort(random.choice(len(b), self.tiles, replace=False))] for b in rows]
        return [torch.from_numpy(np.ascontiguousarray(bag)) for bag in drawn]
