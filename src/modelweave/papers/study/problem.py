"""What a study is made of: a problem with its models and scores, and a setting that makes one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Problem:
    """A base, its members, and what they are scored on.

    base, members: whatever `merge` takes as a model. score: (models, part) -> one value an example, (tasks, examples), of the mean of
    the models' outputs; example i is the same in all tasks where they share their data.
    """

    base: Any
    members: Sequence[Any]
    tasks: Sequence[str]
    score: Callable[[Sequence[Any], Part], NDArray[np.float64]]


@dataclass(frozen=True)
class Setting:
    """One table of the study. make: (seed, folder for what is costly to make) -> the problem. words: what it is, for the page.

    scales: tried on validation, as multiples of the method's own; the search goes on beyond the ends. one_seed: it costs too much for
    more than seed 0, which it runs whatever is wanted.
    """

    key: str
    title: str
    words: str
    unit: str
    make: Callable[[int, Path], Problem]
    scales: tuple[float, ...] = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.6, 2.0)
    one_seed: bool = False

    def seeds(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """What it runs of the wanted seeds."""
        return (0,) if self.one_seed else tuple(wanted)
