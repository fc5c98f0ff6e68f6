"""Training of a chooser: the recognition network and the set function take turns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .settings import Settings
from .subset_network import CLOSE, Recognition, SetFunction, entropy, sample
from .subsets import mean_jaccard, top

CLIP = 10.0


def build(settings: Settings, features: int) -> nn.ModuleList:
    """The set function and the recognition network, seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        energy = SetFunction(features, settings.width, settings.hidden, settings.background)  # type: ignore[arg-type]
        return nn.ModuleList([energy, Recognition(features, settings.width, settings.hidden, settings.rank)])


def train(
    settings: Settings, pools: NDArray[Any], subsets: NDArray[Any], validation: tuple[NDArray[Any], NDArray[Any]] | None
) -> tuple[nn.ModuleList, list[float]]:
    """The trained networks, and the mean Jaccard index on validation pools after each epoch."""
    network = build(settings, pools.shape[2])
    energy, guess = network
    steppers = [torch.optim.Adam(part.parameters(), settings.rate, weight_decay=settings.decay) for part in network]
    generator = torch.Generator().manual_seed(settings.seed)
    elements, marks = torch.from_numpy(pools), torch.from_numpy(subsets)
    history: list[float] = []
    best, kept, bad = -1.0, None, 0
    for _ in range(settings.epochs):
        for rows in torch.split(torch.randperm(len(elements), generator=generator), settings.batch):
            start = torch.full_like(marks[rows], 0.5)
            if settings.mode != "diffMF":
                chances, spreads, factors = guess(elements[rows])
                together = settings.mode == "copula"
                drawn = sample(chances, spreads, factors, settings.samples, settings.tau, generator, together=together)
                loss = -(energy(elements[rows], drawn).mean(dim=1) + entropy(chances)).mean()
                _step(steppers[1], network, guess, loss)
                start = chances.detach()
            loss = _likelihood(settings, energy, elements[rows], marks[rows], start, generator)
            _step(steppers[0], network, energy, loss)
        if validation is None:
            continue
        q = marginals(settings, network, validation[0])
        history.append(mean_jaccard(top(q, validation[1].sum(axis=1).astype(int)), validation[1]))
        if history[-1] > best:
            best, kept, bad = history[-1], copy.deepcopy(network.state_dict()), 0
        else:
            bad += 1
        if bad >= settings.patience:
            break
    if kept is not None:
        network.load_state_dict(kept)
    return network, history


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


def _step(stepper: torch.optim.Optimizer, network: nn.ModuleList, part: nn.Module, loss: Tensor) -> None:
    network.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(part.parameters(), CLIP)
    stepper.step()


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
