"""The network as an estimator that takes a table with typed columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from ..predictions.metrics import Task, metric_named
from ..splits import Split
from .column_types import NO_COLUMNS, ColumnTypes
from .members import Array, TypedEstimator
from .network_inputs import Fusion, InputEncoder, Inputs


class Network(TypedEstimator):
    """A Transformer over the text, with numbers and categories fused in: `late`, `early` or as words in the text, `all_text`.

    encoder: None for one of `width` and `depth` that is trained from scratch, or the folder of any that transformers' AutoModel loads.
    rate: 2e-3 from scratch and 1e-4 otherwise; `decay` times as much a layer further down, by default 0.8 in a loaded encoder.
    checks: one part in so many of the rows chooses the `kept` checkpoints whose weights are averaged; rows of a fold that are
    predicted are never among them. Source: Shi et al. 2021, arXiv 2111.02705, section 4; late fusion is its default.
    """

    def __init__(
        self,
        types: ColumnTypes = NO_COLUMNS,
        classification: bool = True,
        fusion: Fusion = "late",
        encoder: str | Path | None = None,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.1,
        epochs: int = 12,
        batch: int = 64,
        rate: float | None = None,
        decay: float | None = None,
        kept: int = 3,
        checks: int = 8,
        longest: int = 128,
        metric: Any = None,
        seed: int = 0,
    ) -> None:
        self.types, self.classification, self.fusion, self.encoder = types, classification, fusion, encoder
        self.width, self.depth, self.dropout, self.epochs, self.batch = width, depth, dropout, epochs, batch
        self.rate, self.decay, self.kept, self.checks, self.longest = rate, decay, kept, checks, longest
        self.metric, self.seed = metric, seed

    def fit(self, table: Any, y: Array, sample_weight: Any = None, groups: Any = None, time: Any = None) -> Network:
        """Train on most rows and choose checkpoints on the others."""
        from ...networks import seeded
        from .training import Schedule, train

        targets: Array
        if self.classification:
            self.classes_, targets = np.unique(y, return_inverse=True)
        else:
            weight = None if sample_weight is None else np.asarray(sample_weight)
            self.mean_ = float(np.average(y, weights=weight))
            self.spread_ = float(np.sqrt(np.average((np.asarray(y) - self.mean_) ** 2, weights=weight))) or 1.0
            targets = (np.asarray(y, np.float64) - self.mean_) / self.spread_
        learn, check = self._parts(targets, groups, time)
        with seeded(self.seed):
            inputs = self._build(table, learn)
            loaded = self.encoder is not None
            rate = self.rate if self.rate is not None else (1e-4 if loaded else 2e-3)
            decay = self.decay if self.decay is not None else (0.8 if loaded else 1.0)
            schedule = Schedule(self.epochs, self.batch, rate, decay, kept=self.kept, seed=self.seed)
            task: Task = "regression" if not self.classification else ("binary" if len(self.classes_) == 2 else "multiclass")
            weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            if weights is not None and weights[learn].sum() <= 0:
                learn, check = np.arange(len(targets)), np.arange(0)
            self.losses_ = train(self.network_, inputs, targets, weights, learn, check, metric_named(self.metric, task), schedule)
        return self

    def prepare(self, table: Any) -> Network:
        """The encoder as it comes, without any training."""
        from ...networks import seeded

        if self.encoder is None:
            raise ParameterError("encoder: frozen vectors need an encoder that has learnt something; give the folder of one")
        with seeded(self.seed):
            self.classes_ = np.arange(2)
            self._build(table, np.arange(len(table)))
        return self

    def _parts(self, targets: Array, groups: Any, time: Any) -> tuple[Array, Array]:
        """Rows to learn from and rows to choose checkpoints on, none of these where there are too few."""
        if len(targets) >= 4 * self.checks:
            try:
                fold = Split(self.checks, seed=self.seed).holdout(targets, groups=groups, time=time, classes=self.classification)
                whole = not self.classification or len(np.unique(targets[fold.train])) == len(self.classes_)
                if whole and len(fold.train) >= len(targets) // 2:
                    return fold.train, fold.test
            except CompatibilityError:
                pass
        return np.arange(len(targets)), np.arange(0)

    def _build(self, table: Any, learn: Array) -> Inputs:
        from .network import FolderEncoder, FusionNetwork, SmallEncoder

        if self.fusion not in ("late", "early", "all_text"):
            raise ParameterError(f"fusion: expected late, early or all_text, got {self.fusion!r}")
        self.inputs_ = InputEncoder(self.types, fusion=self.fusion, encoder=self.encoder, longest=self.longest).fit(table.iloc[learn])
        text: Any = None
        if self.inputs_.tokens is not None and self.encoder is not None:
            text = FolderEncoder(self.encoder)
        elif self.inputs_.tokens is not None or self.fusion != "late":
            size = len(self.inputs_.tokens) if self.inputs_.tokens is not None else 4
            text = SmallEncoder(size, width=self.width, depth=self.depth, longest=self.longest, dropout=self.dropout)
        outputs = len(self.classes_) if self.classification else 1
        self.network_ = FusionNetwork(
            text, self.fusion, self.inputs_.scale.width, self.inputs_.level_counts, outputs, width=self.width, dropout=self.dropout
        )
        return self.inputs_.transform(table)

    def predict_proba(self, table: Any) -> Array:
        """(rows, classes)."""
        from .training import outputs_of, probabilities

        return probabilities(outputs_of(self.network_, self.inputs_.transform(table)))

    def predict(self, table: Any) -> Array:
        """Class labels, or numbers."""
        from .training import outputs_of

        if self.classification:
            return np.asarray(self.classes_[self.predict_proba(table).argmax(axis=1)])
        return outputs_of(self.network_, self.inputs_.transform(table))[:, 0] * self.spread_ + self.mean_

    def vectors(self, table: Any) -> Array:
        """(rows, width): what the network makes of rows, before its head."""
        from .training import outputs_of

        return outputs_of(self.network_, self.inputs_.transform(table), vectors=True)
