"""Training and evaluation modes: set for a while, and put back in every submodule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """A block after which every submodule is in the mode in which it was, also after an error."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """A block without gradients in which the network is in evaluation mode; afterwards every submodule is in the mode in which it was.

    Args:
        network: any module.

    >>> network = nn.Sequential(nn.Dropout(0.5))
    >>> with evaluating(network):
    ...     network(torch.ones(2))
    tensor([1., 1.])
    >>> network.training
    True
    """
    with modes_kept(network), torch.no_grad():
        network.eval()
        yield
