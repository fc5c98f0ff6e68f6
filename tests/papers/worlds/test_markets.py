"""The made markets."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import markets as world


def test_the_markets_are_what_they_say() -> None:
    logs = np.log(world.reverting(0))
    assert logs.shape == (3000, 3) and np.array_equal(world.reverting(0), world.reverting(0))
    apart = np.cumsum(logs, axis=0) - np.cumsum(logs, axis=0).mean(axis=1, keepdims=True)
    assert np.abs(apart).max() < 1, "components stay near each other"
    assert np.corrcoef(apart[:-1, 0], apart[1:, 0])[0, 1] == pytest.approx(0.97, abs=0.02)
    drift = np.log(world.dominated(0)).mean(axis=0)
    assert drift - drift[1] == pytest.approx([0.002, 0, -0.001], abs=2e-4)
