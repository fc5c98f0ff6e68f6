"""Small classifiers of one family: a base that has seen a little of every task, and experts fine-tuned from it on one task each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...engine.members import Prepared, prepare
from ...networks import Batches, copied, fit, states, supervised

State = dict[str, Any]
Split = tuple[Any, Any]


@dataclass(frozen=True)
class Suite:
    """validation and test: (images, labels) of each task."""

    base: State
    experts: list[State]
    validation: list[Split]
    test: list[Split]


@dataclass(frozen=True)
class Training:
    """How a network is trained: SGD with momentum 0.9 or Adam, the rate falling along a half cosine, batches of 32."""

    rate: float
    epochs: int
    adam: bool = False


def fine_tuned(
    views: Sequence[Tensor],
    labels: Tensor,
    *,
    parts: tuple[int, int, int],
    width: int,
    base: Training,
    expert: Training,
    experts: int | None = None,
) -> Suite:
    """A base trained on the first rows of every view, and one expert a view from it on more rows of its own.

    views: of each task, all images (rows, pixels). parts: rows that the base learns from, that an expert learns from, that validate; the
    others test. experts: how many, by default one a view. Draws from torch's global generator.
    """
    few, many, validation = parts
    network = mlp(width, views[0].shape[1])
    train(network, torch.cat([view[:few] for view in views]), labels[:few].repeat(len(views)), base)
    start = copied(network)
    trained = []
    for view in views[:experts]:
        network = mlp(width, view.shape[1])
        network.load_state_dict(start)
        train(network, view[:many], labels[:many], expert)
        trained.append(copied(network))
    splits = [[(view[part], labels[part]) for view in views] for part in (slice(many, many + validation), slice(many + validation, None))]
    return Suite(start, trained, splits[0], splits[1])


def mlp(width: int, inputs: int) -> nn.Sequential:
    """A network inputs-width-width-10."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def train(network: nn.Module, images: Tensor, labels: Tensor, how: Training) -> None:
    """Train on batches in an order drawn from torch's global generator."""
    weights = network.parameters()
    optimizer = torch.optim.Adam(weights, how.rate) if how.adam else torch.optim.SGD(weights, how.rate, momentum=0.9)
    batches = Batches((images, labels), size=32, shuffle=torch.default_generator)
    loss = supervised(torch.nn.functional.cross_entropy)
    fit(network, batches, loss, optimizer=optimizer, schedule="cosine", epochs=how.epochs)


def logits(state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Outputs (n, 10) of the network with these weights."""
    for layer in ("0", "2"):
        images = (images @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).relu()
    return images @ state["4.weight"].T + state["4.bias"]


def accuracy(state: Mapping[str, Tensor], split: Split) -> float:
    """Share of right answers of the network with these weights."""
    return float((logits(state, split[0]).argmax(1) == split[1]).float().mean())


def mean_accuracy(state: Mapping[str, Tensor], splits: Sequence[Split]) -> float:
    """Mean over tasks."""
    return sum(accuracy(state, split) for split in splits) / len(splits)


def prepare_flat(members: Sequence[State], base: State, **options: Any) -> Prepared:
    """The merge of flat weights, ready for any scale: for methods whose paper ranks entries over the whole model."""
    return prepare([flat(member) for member in members], base=flat(base), **options)


def tuned(prepared: Prepared, scales: Sequence[float], suite: Suite, tasks: Sequence[int]) -> tuple[float, State]:
    """The scale with the highest mean accuracy on these tasks' validation splits, the first of equals, and the merged weights."""
    states = {scale: unflat(prepared.at(scale), suite.base) for scale in scales}
    best = max(scales, key=lambda scale: mean_accuracy(states[scale], [suite.validation[task] for task in tasks]))
    return best, states[best]


def flat(state: Mapping[str, Tensor]) -> State:
    """The same weights as one tensor."""
    return {"all": states.flat(state)}


def unflat(vector: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> State:
    """What `flat` took apart."""
    return dict(states.unflat(vector["all"], like))
