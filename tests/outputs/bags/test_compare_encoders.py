"""Encoders compared on an external cohort."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modelweave.errors import CompatibilityError
from modelweave.outputs.bags.compare_encoders import AUC, compare_encoders
from modelweave.outputs.estimators.repeated_folds import RepeatedFoldClassifier


def cohort(seed: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, count)
    return {name: y[:, None] + size * random.standard_normal((count, 3)) for name, size in (("sharp", 1.0), ("dull", 4.0))}, y


def test_the_better_encoder_comes_first_with_its_difference() -> None:
    features, y = cohort(0, 120)
    new, truth = cohort(1, 300)
    lines, pairs = compare_encoders(features, y, new, truth, head=LogisticRegression(), cv=3, repeats=2, draws=200)
    assert [line.encoder for line in lines] == ["sharp", "dull"]
    for line in lines:
        found = RepeatedFoldClassifier(LogisticRegression(), cv=3, repeats=2).fit(features[line.encoder], y)
        assert line.score == pytest.approx(AUC.score(truth, found.predict_proba(new[line.encoder])[:, 1]))
        assert line.interval[0] < line.score < line.interval[1]
    (pair,) = pairs
    assert pair.gain == pytest.approx(lines[0].score - lines[1].score) and pair.p == pytest.approx(2 / 201)
    same, (none,) = compare_encoders(
        {"a": features["sharp"], "b": features["sharp"]},
        y,
        {"a": new["sharp"], "b": new["sharp"]},
        truth,
        head=LogisticRegression(),
        cv=2,
        repeats=1,
        draws=50,
    )
    assert none.gain == 0 and none.p == 1 and same[0].score == same[1].score


def test_a_patient_in_both_cohorts_is_refused() -> None:
    features, y = cohort(0, 40)
    with pytest.raises(CompatibilityError, match="cohorts: patient 7 is in both, and 1 in all; leave them out of one"):
        compare_encoders(features, y, features, y, patients=np.arange(40), new_patients=np.r_[7, np.arange(100, 139)])
    with pytest.raises(CompatibilityError, match="encoders: expected the same in both cohorts, got sharp, dull and sharp"):
        compare_encoders(features, y, {"sharp": features["sharp"]}, y)
