"""Arithmetic on state dicts, and statistics of BatchNorm measured anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import CompatibilityError
from .batches import as_batches
from .inference import Call, call
from .modes import modes_kept
from .nested import moved

State = dict[str, Tensor]


def copied(state: Mapping[str, Tensor] | nn.Module) -> State:
    """A copy of a state, or of a network's, that later training leaves alone.

    Args:
        state: a state dict, or a module that has one.

    >>> weight = torch.ones(1)
    >>> kept = copied({"w": weight})
    >>> kept, weight.zero_()
    ({'w': tensor([1.])}, tensor([0.]))
    """
    state = state.state_dict() if isinstance(state, nn.Module) else state
    return {name: value.detach().clone() for name, value in state.items()}


def average(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> State:
    """sum_k w_k state_k / sum_k w_k for each tensor, in float64; of whole numbers, which count rather than weigh, the first state's.

    Args:
        states: with the same names and shapes.
        weights: one a state; None: all alike.

    Raises:
        CompatibilityError: for states that do not fit each other, or weights that do not fit them.

    >>> average([{"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}], weights=[3, 1])
    {'w': tensor([1.2500])}
    """
    check_alike(states)
    if weights is not None and (len(weights) != len(states) or not sum(weights)):
        raise CompatibilityError(f"average: expected {len(states)} weights that do not sum to 0, got {list(weights)}")
    return {name: _mean([state[name] for state in states], weights) for name in states[0]}


def _mean(values: list[Tensor], weights: Sequence[float] | None) -> Tensor:
    first = values[0]
    if len(values) == 1 or not (first.is_floating_point() or first.is_complex()):
        return first.detach().clone()
    kind = torch.complex128 if first.is_complex() else torch.float64
    wide = torch.stack([value.detach().to(first.device, kind) for value in values])  # states of a resumed run come from the CPU
    if weights is None:
        return wide.mean(dim=0).to(first.dtype)
    shares = torch.tensor(weights, dtype=torch.float64, device=wide.device) / sum(weights)
    mean: Tensor = torch.tensordot(shares.to(wide.dtype), wide, dims=1)
    return mean.to(first.dtype)


def difference(state: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> State:
    """state - base for each tensor that weighs: a task vector.

    Args:
        state: of the tuned network.
        base: of the network that it was tuned from, with the same names and shapes.

    Raises:
        CompatibilityError: for states that differ in names or shapes.

    >>> difference({"w": torch.tensor([3.0])}, {"w": torch.tensor([1.0])})
    {'w': tensor([2.])}
    """
    check_alike([base, state])
    return {name: state[name] - value for name, value in base.items() if value.is_floating_point() or value.is_complex()}


def shifted(base: Mapping[str, Tensor], change: Mapping[str, Tensor], scale: float = 1.0) -> State:
    """base + scale * change; what the change does not name stays.

    Args:
        base: a state dict.
        change: such as `difference` gives, with names that the base has.
        scale: any number.

    Raises:
        CompatibilityError: for a change of what the base lacks.

    >>> shifted({"w": torch.tensor([1.0]), "n": torch.tensor(2)}, {"w": torch.tensor([2.0])}, 0.5)
    {'w': tensor([2.]), 'n': tensor(2)}
    """
    extra = [name for name in change if name not in base]
    if extra:
        raise CompatibilityError(f"shifted: the change has '{extra[0]}', which the base lacks; give states of one network")
    return {name: value + scale * change[name] if name in change else value for name, value in base.items()}


def flat(state: Mapping[str, Tensor]) -> Tensor:
    """All tensors as one vector, in the state's order.

    Args:
        state: one tensor at least.

    Returns:
        (values of all tensors,).

    >>> flat({"w": torch.tensor([[0.0, 1.0]]), "b": torch.tensor([2.0])})
    tensor([0., 1., 2.])
    """
    return torch.cat([value.reshape(-1) for value in state.values()])


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> State:
    """What `flat` took apart: a state with the names and shapes of `like`.

    Args:
        vector: (values of all tensors,).
        like: a state with the names and shapes.

    Raises:
        CompatibilityError: for a vector of another length.

    >>> unflat(torch.arange(3.0), {"w": torch.zeros(1, 2), "b": torch.zeros(1)})
    {'w': tensor([[0., 1.]]), 'b': tensor([2.])}
    """
    sizes = [value.numel() for value in like.values()]
    if vector.shape != (sum(sizes),):
        raise CompatibilityError(f"unflat: a vector of shape {tuple(vector.shape)}, expected ({sum(sizes)},)")
    parts = torch.split(vector, sizes)
    return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}


def check_alike(states: Sequence[Mapping[str, Tensor]]) -> None:
    """Raise CompatibilityError, by name, where states differ in names or shapes."""
    if not states:
        raise CompatibilityError("states: expected one at least, got none")
    for number, state in enumerate(states[1:], 1):
        for name in states[0].keys() ^ state.keys():
            lacks, has = (number, 0) if name in states[0] else (0, number)
            raise CompatibilityError(f"state {lacks} lacks '{name}', which state {has} has; give states of one architecture")
        for name, value in state.items():
            if value.shape != states[0][name].shape:
                shapes = f"{tuple(value.shape)}, expected {tuple(states[0][name].shape)} as in state 0"
                raise CompatibilityError(f"state {number}: '{name}' has the shape {shapes}; give states of one architecture")


def reestimate_batchnorm(network: nn.Module, batches: Any, *, call: Call = call, device: torch.device | str | None = None) -> None:
    """Measure the means and variances of every BatchNorm layer anew: their averages over batches, each of which counts alike.

    A merged network needs it, since the statistics of its members are not its own. All other layers are in evaluation mode. Networks
    without BatchNorm are left alone. Source: Jordan et al. 2023, REPAIR, section 3.

    Args:
        network: changed in place.
        batches: `Batches`, or what they are made of.
        call: how the network is asked: a function of network and batch.
        device: where the batches go first; None: they stay where they are.

    >>> layer = nn.BatchNorm1d(1)
    >>> reestimate_batchnorm(layer, torch.tensor([[2.0], [4.0]]))
    >>> layer.running_mean, layer.running_var
    (tensor([3.]), tensor([2.]))
    """
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    try:
        with modes_kept(network), torch.no_grad():
            network.eval()
            for layer in layers:
                layer.train()
                layer.reset_running_stats()
                layer.momentum = None  # torch then keeps the plain average
            for batch in as_batches(batches):
                call(network, moved(batch, device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
