"""Training of a chooser: the recognition network and the set function take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...networks import Batches, fit, seeded
from .settings import Settings
from .subset_network import CLOSE, Recognition, SetFunction, entropy, sample
from .subsets import mean_jaccard, top

CLIP = 10.0


def build(settings: Settings, features: int) -> nn.ModuleList:
    """The set function and the recognition network, seeded."""
    with seeded(settings.seed):
        energy = SetFunction(features, settings.width, settings.hidden, settings.background)  # type: ignore[arg-type]
        return nn.ModuleList([energy, Recognition(features, settings.width, settings.hidden, settings.rank)])


def train(
    settings: Settings, pools: NDArray[Any], subsets: NDArray[Any], validation: tuple[NDArray[Any], NDArray[Any]] | None
) -> tuple[nn.ModuleList, list[float]]:
    """The trained networks, and the mean Jaccard index on validation pools after each epoch."""
    network = build(settings, pools.shape[2])
    optimizers = {
        name: torch.optim.Adam(part.parameters(), settings.rate, weight_decay=settings.decay)
        for name, part in zip(("energy", "guess"), network, strict=True)
    }
    generator = torch.Generator().manual_seed(settings.seed)

    def losses(network: Any, batch: tuple[Tensor, Tensor]) -> Iterator[tuple[str, Tensor]]:
        energy, guess = network
        elements, marks = batch
        start = torch.full_like(marks, 0.5)
        if settings.mode != "diffMF":
            chances, spreads, factors = guess(elements)
            together = settings.mode == "copula"
            drawn = sample(chances, spreads, factors, settings.samples, settings.tau, generator, together=together)
            yield "guess", -(energy(elements, drawn).mean(dim=1) + entropy(chances)).mean()
            start = chances.detach()
        yield "energy", _likelihood(settings, energy, elements, marks, start, generator)

    def score(network: Any) -> float:
        assert validation is not None
        q = marginals(settings, network, validation[0])
        return -mean_jaccard(top(q, validation[1].sum(axis=1).astype(int)), validation[1])

    found = fit(
        network,
        Batches((pools, subsets), size=settings.batch, shuffle=generator),
        losses,
        optimizer=optimizers,
        epochs=settings.epochs,
        clip=CLIP,
        validate=None if validation is None else score,
        patience=None if validation is None else settings.patience,
    )
    return network, [-value for value in found.scores]


def _likelihood(settings: Settings, energy: Any, elements: Tensor, marks: Tensor, start: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the mean field's marginals at the members of S* and as many others, drawn at random."""
    q = start
    for _ in range(settings.steps):
        q = energy.mean_field(elements, q, torch.rand(len(q), settings.samples, q.shape[1], q.shape[1], generator=generator))
    # others in random order: the first |S*| of them count
    order = (torch.rand(marks.shape, generator=generator) + marks).argsort(dim=1).argsort(dim=1)
    counted = marks + ((order < marks.sum(dim=1, keepdim=True)) & (marks == 0)).to(marks.dtype)
    losses = -(marks * torch.log(q + CLOSE) + (1 - marks) * torch.log(1 - q + CLOSE))
    return (counted * losses).sum(dim=1).mean()


@torch.no_grad()
def marginals(settings: Settings, network: Any, pools: NDArray[Any]) -> NDArray[np.float64]:
    """(pools, v): the recognition network's guess, bettered by the mean field with draws from a fixed seed."""
    energy, guess = network
    elements = torch.from_numpy(np.ascontiguousarray(pools, np.float32))
    q = torch.full(elements.shape[:2], 0.5) if settings.mode == "diffMF" else guess(elements)[0]
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.steps):
        q = energy.mean_field(elements, q, torch.rand(len(q), settings.samples, q.shape[1], q.shape[1], generator=generator))
    return np.asarray(q.double().numpy())
