"""Training a network on a table, and the mean of its best checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..predictions.metrics import Metric
from .network_inputs import Inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[Any]


@dataclass(frozen=True)
class Schedule:
    """How to train. rate rises over the first tenth of the steps and falls along a half cosine. kept: checkpoints that are averaged."""

    epochs: int = 12
    batch: int = 64
    rate: float = 2e-3
    decay: float = 1.0
    weight_decay: float = 0.01
    kept: int = 3
    seed: int = 0


def train(
    network: nn.Module,
    inputs: Inputs,
    targets: Array,
    weight: Array | None,
    learn: Array,
    check: Array,
    metric: Metric,
    schedule: Schedule,
) -> list[float]:
    """Train on the rows `learn`, and end with the mean of the `kept` checkpoints that have the least loss on the rows `check`.

    There is a checkpoint an epoch. targets: class numbers, or numbers that are standardised. Without rows to check the last checkpoints
    are kept. Returns the losses of the checkpoints. Random numbers are those of torch, which the caller seeds.
    """
    import torch

    from ...networks import Batches, fit
    from .network import rates

    y = torch.from_numpy(targets.astype(np.int64 if targets.dtype.kind in "iu" else np.float32))
    shares = None if weight is None else torch.from_numpy((weight / weight[learn].mean()).astype(np.float32))
    epochs = count()

    def loss(network: Any, rows: Tensor) -> Tensor:
        return _loss(network(inputs.take(rows)), y[rows], None if shares is None else shares[rows])

    found = fit(
        network,
        Batches(learn, size=schedule.batch, shuffle=np.random.default_rng(schedule.seed)),
        loss,
        optimizer=torch.optim.AdamW(rates(network, schedule.rate, schedule.decay), weight_decay=schedule.weight_decay, fused=True),
        schedule=_pace,
        epochs=schedule.epochs,
        clip=1.0,
        validate=lambda network: _checked(network, inputs, targets, weight, check, metric, default=-float(next(epochs))),
        keep=schedule.kept,
    )
    network.eval()
    return found.scores


def outputs_of(network: nn.Module, inputs: Inputs, *, vectors: bool = False, batch: int = 512) -> Array:
    """(rows, outputs) of the network at rest, or its vectors before the head."""
    from ...networks import forward

    step: Any = network.vector if vectors else network
    found = forward(
        network, lambda: (inputs.take(slice(at, at + batch)) for at in range(0, len(inputs), batch)), call=lambda _, part: step(part)
    )
    return np.asarray(found.double().numpy())


def probabilities(logits: Array) -> Array:
    """(rows, classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found


def _loss(out: Tensor, y: Tensor, shares: Tensor | None) -> Tensor:
    import torch.nn.functional as F

    each = F.mse_loss(out[:, 0], y, reduction="none") if y.is_floating_point() else F.cross_entropy(out, y, reduction="none")
    return each.mean() if shares is None else (each * shares).mean()


def _checked(
    network: nn.Module, inputs: Inputs, targets: Array, weight: Array | None, check: Array, metric: Metric, default: float
) -> float:
    """The loss of a checkpoint, `default` where there is none."""
    if not len(check) or (metric.needs_classes and len(np.unique(targets[check])) < 2):
        return default
    out = outputs_of(network, inputs.take(check))
    if targets.dtype.kind not in "iu":
        p = out[:, 0]
    else:
        p = probabilities(out)
        p = p[:, 1] if p.shape[1] == 2 else p
    loss = metric.loss(targets[check], p, None if weight is None else weight[check])
    return loss if math.isfinite(loss) else default


def _pace(step: int, steps: int) -> float:
    warm = max(steps // 10, 1)
    return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))
