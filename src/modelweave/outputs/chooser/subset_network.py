"""A network that says which elements of a set belong to its best subset: an energy of subsets, and a first guess at the answer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Background = Literal["none", "complement", "superset", "superset_additive"]
BACKGROUNDS = ("none", "complement", "superset", "superset_additive")
CLOSE = 1e-12


def mlp(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class SetFunction(nn.Module):
    """How good a subset S of V is: F(S; V) = rho(sum over S of phi(x)) + what surrounds it.

    background: `complement` adds rho2(sum over V - S of phi(x)), as the released code does; `superset` puts the mean over V inside of
    rho, as the abstract says; `none` is EquiVSet; `superset_additive` adds rho2(sum over V), which cancels in every difference and is
    here to show it.
    Source: Xie et al. 2024, arXiv 2402.03139; Ou et al. 2022, arXiv 2203.01693.
    """

    def __init__(self, features: int, width: int = 256, hidden: int = 500, background: Background = "complement") -> None:
        super().__init__()
        self.background = background
        self.phi = nn.Linear(features, width)
        self.rho = mlp(width, hidden, 1)
        self.rho2 = mlp(width, hidden, 1)
        self.lift = nn.Linear(width, width, bias=False)

    def forward(self, elements: Tensor, masks: Tensor) -> Tensor:
        """elements: (batch, v, features). masks: (batch, ..., v), 1 for members of S, also shares between. Returns (batch, ...)."""
        embedded = self.phi(elements)
        flat = masks.reshape(len(masks), -1, masks.shape[-1])
        inside = flat @ embedded
        if self.background == "superset":
            inside = inside + self.lift(embedded.mean(dim=1, keepdim=True))
        found = self.rho(inside)[..., 0]
        if self.background == "complement":
            found = found + self.rho2((1 - flat) @ embedded)[..., 0]
        elif self.background == "superset_additive":
            found = found + self.rho2(embedded.sum(dim=1, keepdim=True))[..., 0]
        shaped: Tensor = found.reshape(masks.shape[:-1])
        return shaped

    def mean_field(self, elements: Tensor, q: Tensor, uniforms: Tensor) -> Tensor:
        """One step: q_i = sigmoid(mean over m of F(S_m with i) - F(S_m without i)), S_m drawn from q. Returns (batch, v).

        uniforms: (batch, samples, v, v) in [0, 1): a mask for each i and m.
        """
        masks = (uniforms < q[:, None, None, :]).to(elements.dtype)
        self_mask = torch.eye(q.shape[1], dtype=elements.dtype)
        gain = self(elements, masks * (1 - self_mask) + self_mask) - self(elements, masks * (1 - self_mask))
        return torch.sigmoid(gain.mean(dim=1))


class Recognition(nn.Module):
    """A first guess: for each element the chance b that it belongs, and how elements vary together. Source: Ou et al. 2022, section 4."""

    def __init__(self, features: int, width: int = 256, hidden: int = 500, rank: int = 8) -> None:
        super().__init__()
        self.phi = nn.Linear(features, width)
        self.head = mlp(width, hidden, 2 + rank)

    def forward(self, elements: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, v) chances, (batch, v) spreads, (batch, v, rank) factors."""
        found = self.head(self.phi(elements))
        return torch.sigmoid(found[..., 0]), nn.functional.softplus(found[..., 1]), torch.tanh(found[..., 2:])


def sample(
    chances: Tensor, spreads: Tensor, factors: Tensor, samples: int, tau: float, generator: torch.Generator, *, together: bool = True
) -> Tensor:
    """(batch, samples, v) masks of 0 and 1 with gradients of their relaxation: a Gaussian copula, or independent draws.

    z = Phi(spread * eps + factors eps'); p = sigmoid((logit(b) + logit(z)) / tau); r ~ Bernoulli(p), passed straight through.
    """
    shape = (len(chances), samples, chances.shape[1])
    if together:
        own = torch.randn(shape, generator=generator)
        common = torch.randn(len(chances), samples, factors.shape[-1], generator=generator)
        normal = spreads[:, None] * own + torch.einsum("bvr,bmr->bmv", factors, common)
        z = torch.special.ndtr(normal)
    else:
        z = torch.rand(shape, generator=generator)
    b = chances[:, None]
    logits = _logit(b) + _logit(z)
    p = torch.sigmoid(logits / tau)
    hard = (torch.rand(shape, generator=generator) < p).to(p.dtype)
    return p + (hard - p).detach()


def _logit(p: Tensor) -> Tensor:
    return torch.log(p + CLOSE) - torch.log(1 - p + CLOSE)


def entropy(chances: Tensor) -> Tensor:
    """(batch,): the sum of the entropies of the chances."""
    return -(chances * torch.log(chances + CLOSE) + (1 - chances) * torch.log(1 - chances + CLOSE)).sum(dim=-1)
