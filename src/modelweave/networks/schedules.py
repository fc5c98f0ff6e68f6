"""Learning rates over a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from ..errors import ParameterError, unknown

Factor = Callable[[int, int], float]
"""What the rate is multiplied by in one of so many steps: a function of (step, steps)."""
Schedule = Literal["cosine", "linear"] | Factor | LRScheduler | None


def linear(step: int, steps: int) -> float:
    """A straight line from 1 in the first step to 0 after the last.

    >>> linear(3, 4)
    0.25
    """
    return (steps - step) / steps


def schedulers(schedule: Schedule, optimizers: list[Optimizer], steps: int | None) -> list[Any]:
    """One scheduler an optimizer, none for a constant rate. steps: how often they will be moved on, None where that is not known."""
    if schedule is None:
        return []
    if isinstance(schedule, LRScheduler):
        return [schedule]
    if not callable(schedule) and schedule not in ("cosine", "linear"):
        raise ParameterError(unknown("schedule", schedule, ("cosine", "linear")) + ", a function (step, steps), or a torch scheduler")
    if steps is None:
        raise ParameterError("schedule: the batches of a pass cannot be counted, so the run's length is not known; give steps")
    if schedule == "cosine":
        return [CosineAnnealingLR(optimizer, steps) for optimizer in optimizers]
    factor: Any = linear if schedule == "linear" else schedule
    return [LambdaLR(optimizer, lambda step: factor(step, steps)) for optimizer in optimizers]
