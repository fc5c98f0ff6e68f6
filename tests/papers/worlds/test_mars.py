"""The made regression."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import mars as world


def test_the_function_by_hand() -> None:
    X = np.array([[0.0, 0.5, 1.0, 1.0, 1.0], [0.25, 0.5, 0.0, 0.0, 0.0]])
    assert world.mars(X) == pytest.approx([0.1 + 2 + 6, 0.1 * np.e + 2])
