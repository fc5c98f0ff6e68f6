"""What carries out a training step: plain PyTorch, or accelerate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CompatibilityError
from ..extras import extra
from .nested import moved


class Engine:
    """Plain PyTorch on one device. device: None leaves network and batches where they are."""

    def __init__(self, device: torch.device | str | None = None) -> None:
        self.device = device

    def prepare(self, network: nn.Module, optimizers: list[Optimizer]) -> tuple[Any, list[Any]]:
        """The network and optimizers that the steps are done with."""
        return (network if self.device is None else network.to(self.device)), optimizers

    def batch(self, batch: Any) -> Any:
        """The batch where the network is."""
        return moved(batch, self.device)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def clip(self, parameters: list[nn.Parameter], most: float) -> None:
        """Scale gradients down to a norm of at most `most`."""
        torch.nn.utils.clip_grad_norm_(parameters, most)

    def skipped(self) -> bool:
        """Whether the last step was left out, as mixed precision does after an overflow."""
        return False

    def finish(self, network: Any) -> None:
        """Undo what `prepare` did to the network."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs of the engine itself."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""


class Accelerated(Engine):
    """accelerate's Accelerator in one process: its device and its mixed precision.

    how: True for what accelerate is configured for, a precision (`bf16`, `fp16`, `no`), or an Accelerator.
    """

    def __init__(self, how: Any) -> None:
        accelerator = extra("accelerate", "llm").Accelerator
        self.accelerator = how if isinstance(how, accelerator) else accelerator(mixed_precision=how if isinstance(how, str) else None)
        if self.accelerator.num_processes > 1:
            raise CompatibilityError(
                f"fit: accelerate runs {self.accelerator.num_processes} processes, expected one; start it without launch"
            )
        super().__init__(self.accelerator.device)

    def prepare(self, network: nn.Module, optimizers: list[Optimizer]) -> tuple[Any, list[Any]]:
        prepared, *rest = self.accelerator.prepare(network, *optimizers)
        return prepared, rest

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)

    def clip(self, parameters: list[nn.Parameter], most: float) -> None:
        self.accelerator.clip_grad_norm_(parameters, most)

    def skipped(self) -> bool:
        return bool(self.accelerator.optimizer_step_was_skipped)

    def finish(self, network: Any) -> None:
        self.accelerator.unwrap_model(network, keep_fp32_wrapper=False)

    def state(self) -> dict[str, Any]:
        scaler = self.accelerator.scaler
        return {} if scaler is None else dict(scaler.state_dict())

    def load(self, state: dict[str, Any]) -> None:
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state)
