"""Which encoder's frozen features serve a task best, by ensembles of heads and paired tests on an external cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from ...statistics.bootstrap import bootstrap_p_value
from ..estimators.repeated_folds import RepeatedFoldClassifier, check_apart
from ..predictions.metrics import METRICS
from ..predictions.verdict import drawn_gains, gain_interval
from .bag_classifier import BagClassifier

Array = NDArray[Any]
AUC = METRICS["roc_auc"]


@dataclass(frozen=True)
class EncoderScore:
    """score: external area under the ROC curve of the ensemble, with a 95 % bootstrap interval over patients. one_shot: mean over heads
    that were each trained once on all of the training cohort. correlation: of the ensemble's members."""

    encoder: str
    score: float
    interval: tuple[float, float]
    one_shot: float
    correlation: float


@dataclass(frozen=True)
class Difference:
    """better - worse in score, with a two-sided bootstrap p-value."""

    better: str
    worse: str
    gain: float
    p: float


def compare_encoders(
    features: Mapping[str, Sequence[Array]],
    y: Any,
    new: Mapping[str, Sequence[Array]],
    y_new: Any,
    *,
    patients: Any = None,
    new_patients: Any = None,
    head: Any = None,
    cv: int = 5,
    repeats: int = 5,
    shots: int = 3,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[list[EncoderScore], list[Difference]]:
    """The best encoder first, and every pair of them: ensembles of heads on frozen features, scored on an external cohort.

    Source: Filiot et al. 2024, arXiv 2409.09173, sections 3 and 4.

    Args:
        features: encoder to bags, the same slides in the same order for all.
        y: a label a slide, of two classes.
        new: encoder to bags of the external cohort.
        y_new: its labels.
        patients: of each slide; none may be in both cohorts.
        new_patients: of each external slide.
        head: any classifier of bags; None for a `BagClassifier`.
        cv: number of folds.
        repeats: how often, with other draws.
        shots: heads that are trained once each on all of the training cohort, for comparison.
        draws: bootstrap samples of each p-value; intervals take five times as many.
        seed: of folds, heads and draws.

    Returns:
        Of each encoder its area under the ROC curve, with the interval, that of heads trained once and the copies' correlation; and of each
        pair the gain with its p-value.

    Raises:
        CompatibilityError: for cohorts that overlap or do not fit.

    >>> from sklearn.linear_model import LogisticRegression
    >>> y = np.array([0, 1] * 10)
    >>> features = {"sees": y[:, None] * 1.0, "blind": np.zeros((20, 1))}
    >>> scores, pairs = compare_encoders(features, y, features, y, head=LogisticRegression(), repeats=1, shots=1, draws=20)
    >>> [(line.encoder, line.score) for line in scores]
    [('sees', 1.0), ('blind', 0.5)]
    """
    if set(features) != set(new) or not features:
        raise CompatibilityError(f"encoders: expected the same in both cohorts, got {', '.join(features)} and {', '.join(new)}")
    if patients is not None and new_patients is not None:
        check_apart(patients, new_patients)
    head = BagClassifier() if head is None else head
    labels, codes = np.unique(np.asarray(y_new), return_inverse=True)
    if len(labels) != 2:
        raise CompatibilityError(f"encoders: expected two classes in the external cohort, got {len(labels)}")
    predictions, lines = {}, []
    for name, bags in features.items():
        found = RepeatedFoldClassifier(head, cv=cv, repeats=repeats, random_state=seed).fit(bags, y, groups=patients)
        predictions[name] = found.predict_proba(new[name])[:, 1]
        alone = [AUC.score(codes, p) for p in one_shots(head, bags, y, new[name], shots, seed)]
        flat = np.full(len(codes), 0.5)
        low, high = gain_interval(AUC, codes, predictions[name], flat, groups=new_patients, seed=seed, draws=5 * draws)
        lines.append(
            EncoderScore(
                name,
                AUC.score(codes, predictions[name]),
                (0.5 + low, 0.5 + high),
                float(np.mean(alone)),
                found.member_correlation(new[name]),
            )
        )
    lines.sort(key=lambda line: -line.score)
    pairs = []
    for first, second in combinations([line.encoder for line in lines], 2):
        gains = drawn_gains(AUC, codes, predictions[first], predictions[second], groups=new_patients, seed=seed, draws=draws)
        gain = AUC.loss(codes, predictions[second]) - AUC.loss(codes, predictions[first])
        pairs.append(Difference(first, second, gain, bootstrap_p_value(gains)))
    return lines, pairs


def one_shots(head: Any, bags: Sequence[Array], y: Any, new: Sequence[Array], shots: int, seed: int = 0) -> list[Array]:
    """What `shots` heads predict for new bags, each trained once on all others with a seed of its own: the baseline."""
    from sklearn.base import clone

    from ..estimators.folds import seeded

    return [seeded(clone(head), 7919 * (seed + 1) + shot).fit(bags, y).predict_proba(new)[:, 1] for shot in range(shots)]
