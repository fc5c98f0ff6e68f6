"""P-values against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from modelweave.errors import ParameterError
from modelweave.statistics.significance import benjamini_hochberg_corrected, fisher_combined, holm_corrected, sign_test


@pytest.mark.parametrize("seed", range(5))
def test_fisher_as_scipy(seed: int) -> None:
    p = np.random.default_rng(seed).random(1 + 3 * seed) ** 2
    assert fisher_combined(p.tolist()) == pytest.approx(stats.combine_pvalues(p, "fisher").pvalue, rel=1e-10)


def test_fisher_by_hand() -> None:
    assert -2 * (np.log(0.05) + np.log(0.10)) == pytest.approx(10.5966, abs=1e-4)
    assert fisher_combined([0.05, 0.10]) == pytest.approx(0.0315, abs=5e-5)
    assert fisher_combined([1.0, 1.0]) == 1 and fisher_combined([0.0, 0.5]) < 1e-290 and fisher_combined([0.3]) == pytest.approx(0.3)


def test_holm_by_hand() -> None:
    assert holm_corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_corrected([0.6, 0.9]) == [1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_benjamini_and_hochberg_as_scipy(seed: int) -> None:
    p = np.random.default_rng(seed).random(1 + 3 * seed) ** 2
    assert benjamini_hochberg_corrected(p.tolist()) == pytest.approx(stats.false_discovery_control(p))


@pytest.mark.parametrize("correct", [holm_corrected, benjamini_hochberg_corrected])
def test_corrections_do_not_depend_on_the_order_and_raise_nothing_alone(correct: Any) -> None:
    p = [0.03, 0.001, 0.2, 0.03, 0.8]
    assert correct(p[::-1]) == correct(p)[::-1]
    assert correct([0.04]) == [0.04] and all(corrected >= given for corrected, given in zip(correct(p), p, strict=True))


def test_signs_as_scipy() -> None:
    d = [0.1, -0.2, 0.3, 0.5, 0, 0.2, -0.1, 0.4]
    assert sign_test(d) == pytest.approx(stats.binomtest(5, 7, alternative="greater").pvalue)
    assert sign_test([]) == 1


@pytest.mark.parametrize("wrong", [[], [1.5], [float("nan")]])
def test_wrong_values_are_one_sentence(wrong: list[float]) -> None:
    for function in (fisher_combined, holm_corrected, benjamini_hochberg_corrected):
        with pytest.raises(ParameterError, match="p-values: expected numbers from 0 to 1"):
            function(wrong)
