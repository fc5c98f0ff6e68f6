"""Inference: a network's outputs on batches, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import CompatibilityError
from .batches import as_batches
from .modes import evaluating
from .nested import joined, mapped, moved

Call = Callable[[nn.Module, Any], Any]
Keep = str | Callable[[Any], Any] | None


def call(network: nn.Module, batch: Any) -> Any:
    """The network's output: a dictionary is given by keyword, a tuple or list as several inputs, all else as one.

    >>> call(nn.Identity(), torch.ones(1))
    tensor([1.])
    """
    if isinstance(batch, Mapping):
        return network(**batch)
    return network(*batch) if isinstance(batch, (tuple, list)) else network(batch)


def forward(network: nn.Module, batches: Any, *, keep: Keep = None, call: Call = call, device: torch.device | str | None = None) -> Any:
    """The outputs on all batches, joined along the first dimension, on the CPU; in the data's order, also where batches are shuffled.

    The network is in evaluation mode meanwhile, and no gradients are kept; afterwards, also after an error, every submodule is in the
    mode in which it was.

    Args:
        network: any module.
        batches: `Batches`, or what they are made of.
        keep: what of an output is kept: the name of a field or key (`"logits"`), or a function of the output; by default all of it.
        call: how the network is asked: a function of network and batch.
        device: where the batches go first; None: they stay where they are.

    Raises:
        CompatibilityError: where there is no batch, or no field that `keep` names.

    >>> forward(nn.Linear(2, 1), torch.ones(70, 2)).shape
    torch.Size([70, 1])
    """
    parts = list(stream(network, batches, keep=keep, call=call, device=device))
    if not parts:
        raise CompatibilityError("forward: there are no batches, expected one at least")
    return joined(parts)


def stream(
    network: nn.Module, batches: Any, *, keep: Keep = None, call: Call = call, device: torch.device | str | None = None
) -> Iterator[Any]:
    """What `forward` joins, batch by batch, for outputs that are too large to be held together.

    Args:
        network: any module.
        batches: `Batches`, or what they are made of.
        keep: what of an output is kept: the name of a field or key, or a function of the output; by default all of it.
        call: how the network is asked: a function of network and batch.
        device: where the batches go first; None: they stay where they are.

    Yields:
        The output on each batch, on the CPU.

    Raises:
        CompatibilityError: for an output without the field that `keep` names.

    >>> [part.tolist() for part in stream(nn.Identity(), as_batches(torch.arange(33)))][-1]
    [32]
    """
    for batch in as_batches(batches).in_order():
        with evaluating(network):
            output = _kept(call(network, moved(batch, device)), keep)
            output = mapped(output, lambda tensor: tensor.detach().cpu())
        yield output


def _kept(output: Any, keep: Keep) -> Any:
    if keep is None:
        return output
    if not isinstance(keep, str):
        return keep(output)
    found = output.get(keep) if isinstance(output, Mapping) else getattr(output, keep, None)
    if found is None:
        there = ", ".join(output) if isinstance(output, Mapping) else type(output).__name__
        raise CompatibilityError(f"forward: the output has no '{keep}', it is {there}; name what it has")
    return found
