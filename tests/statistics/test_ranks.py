"""Ranks by hand and as SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelweave.statistics.ranks import rank_correlation, ranks


@pytest.mark.parametrize("seed", range(4))
def test_as_scipy_with_and_without_ties(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 5 if seed % 2 else 1000, (2, 40)).astype(float)
    assert ranks(a.tolist()) == pytest.approx(stats.rankdata(a))
    assert rank_correlation(a.tolist(), b.tolist()) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [9, 5, 1]) == -1
    assert rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(np.sqrt(3) / 2)  # ranks -.5 -.5 1 and -1 0 1
    assert np.isnan(rank_correlation([1, 1], [1, 2]))
