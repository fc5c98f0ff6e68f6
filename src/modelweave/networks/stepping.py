"""One training step: loss, gradients, clipping, optimizer, schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CompatibilityError, ParameterError, unknown
from .engines import Engine
from .schedules import Schedule, schedulers

Turns = Iterator[tuple[str, Tensor]]
Loss = Callable[[Any, Any], Tensor | Turns]
"""A function of network and batch: the loss, or an iterator of (name of an optimizer, its loss)."""


class Stepper:
    """A network, its optimizers and their schedules. moves: how often the schedules will move on, None where that is not known."""

    def __init__(
        self, network: nn.Module, loss: Loss, optimizer: Optimizer | Mapping[str, Optimizer], engine: Engine, clip: float | None
    ) -> None:
        self.network, self.loss, self.engine, self.clip = network, loss, engine, clip
        self.optimizers = dict(optimizer) if isinstance(optimizer, Mapping) else {"": optimizer}
        self.parameters = {name: owned_parameters(network, each) for name, each in self.optimizers.items()}
        self.model, prepared = engine.prepare(network, list(self.optimizers.values()))
        self.prepared = dict(zip(self.optimizers, prepared, strict=True))
        self.schedulers: list[Any] = []
        self.by_epoch = False

    def follow(self, schedule: Schedule, every: str, *, steps: int | None, epochs: int | None) -> None:
        """Let the learning rates follow a schedule."""
        if every not in ("step", "epoch"):
            raise ParameterError(unknown("schedule_every", every, ("step", "epoch")))
        self.by_epoch = every == "epoch"
        self.schedulers = schedulers(schedule, list(self.optimizers.values()), epochs if self.by_epoch else steps)

    def step(self, batch: Any) -> Tensor:
        """One batch. Returns its loss, the sum where there were several."""
        found = self.loss(self.model, self.engine.batch(batch))
        total = self._take("", found) if isinstance(found, Tensor) else sum((self._take(*turn) for turn in found), torch.zeros(()))
        if not self.by_epoch:
            self.move_on()
        return total

    def _take(self, name: str, loss: Tensor) -> Tensor:
        optimizer = self.prepared.get(name)
        if optimizer is None and not name and len(self.prepared) == 1:
            name, optimizer = next(iter(self.prepared.items()))
        if optimizer is None:
            raise CompatibilityError(f"fit: the loss is for {unknown('optimizer', name, self.prepared)}; yield (name, loss)")
        self.network.zero_grad()
        optimizer.zero_grad()
        self.engine.backward(loss)
        if self.clip is not None:
            self.engine.clip(self.parameters[name], self.clip)
        optimizer.step()
        return loss.detach()

    def epoch_over(self) -> None:
        """Move the schedules on where they do so once an epoch."""
        if self.by_epoch:
            self.move_on()

    def move_on(self) -> None:
        if not self.engine.skipped():
            for scheduler in self.schedulers:
                scheduler.step()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, but for random numbers."""
        return {
            "network": self.network.state_dict(),
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.items()},
            "schedules": [scheduler.state_dict() for scheduler in self.schedulers],
            "engine": self.engine.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.network.load_state_dict(state["network"])
        for name, each in self.optimizers.items():
            each.load_state_dict(state["optimizers"][name])
        for scheduler, noted in zip(self.schedulers, state["schedules"], strict=True):
            scheduler.load_state_dict(noted)
        self.engine.load(state["engine"])


def owned_parameters(network: nn.Module, optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters that an optimizer changes: those of the network in the network's order, then all others."""
    owned = {id(value): value for group in optimizer.param_groups for value in group["params"]}
    inside = [value for value in network.parameters() if owned.pop(id(value), None) is not None]
    return [*inside, *owned.values()]
