"""The made cohorts."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import cohorts as world


def test_cohorts_are_what_they_say() -> None:
    slides, y = world.make_cohort(3, 1, 200, shift=0)
    again, _ = world.make_cohort(3, 1, 200, shift=0)
    moved, same = world.make_cohort(3, 1, 200, shift=1)
    assert all(np.array_equal(a, b) for a, b in zip(slides, again, strict=True)) and np.array_equal(y, same)
    shift = moved[0] - slides[0]
    assert np.linalg.norm(shift, axis=1) == pytest.approx(np.ones(24)), "a stain of length 1 on every tile"
    signal = np.random.default_rng([3, 1]).standard_normal((2, 24))[0]
    along = np.array([slide @ signal / np.linalg.norm(signal) for slide in slides]).mean(axis=1)
    assert along[y == 1].mean() - along[y == 0].mean() == pytest.approx(2.5 * (5 - 1) / 24, abs=0.2)
