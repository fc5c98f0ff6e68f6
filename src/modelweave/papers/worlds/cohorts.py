"""Made cohorts of slides: bags of tiles, some of which carry what is looked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def make_cohort(seed: int, task: int, count: int, *, shift: float) -> tuple[list[NDArray[Any]], NDArray[np.intp]]:
    """Slides of 24 tiles in 24 dimensions; 3 to 7 tiles of positive ones and 0 to 2 of negative ones are moved by 2.5 along a direction
    of the task. shift: of the whole cohort along another one, as by a stain that differs between hospitals."""
    directions = np.random.default_rng([seed, task]).standard_normal((2, 24))
    signal, stain = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    random = np.random.default_rng([seed, task, count])
    y = random.integers(0, 2, count)
    slides = []
    for label in y:
        tiles = random.standard_normal((24, 24)) + 0.5 * random.standard_normal(24) + shift * stain
        tiles[: random.integers(3, 8) if label else random.integers(0, 3)] += 2.5 * signal
        slides.append(tiles)
    return slides, y
