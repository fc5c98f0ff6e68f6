"""SCE by hand."""

from __future__ import annotations

import numpy as np
import pytest

from .helpers import merged_rows


def test_sce_by_hand() -> None:
    rows = np.array([(2.0, 0, 1, 0), (-1.0, 0, 1, 2)])
    energy = (rows**2).mean(1) / (rows**2).mean(1).sum()
    # variance 2.25, 0, 0, 1: of the two varied places select_topk 0.5 keeps the first
    kept = rows * np.array([1, 0, 0, 0])
    share = (kept**2).mean(1) / (kept**2).mean(1).sum()
    assert merged_rows(rows.tolist(), [0] * 4, method="sce", select_topk=0.5) == [2, 0, 0, 0]
    assert share[0] == 0.8
    assert merged_rows(rows.tolist(), [0] * 4, method="sce") == pytest.approx([2, 0, 1, 2])
    assert energy.sum() == pytest.approx(1)
