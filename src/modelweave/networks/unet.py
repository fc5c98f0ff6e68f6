"""Stages of diffusers' UNets: every layer is one, and skips wait in the flow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .stages import Flow, Stage, Stages

PARTS = ("conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks", "conv_out")


class _Reached(BaseException):
    """The network's forward has come to its first block."""


def is_unet(network: nn.Module) -> bool:
    """Whether a network has the parts of a diffusers UNet."""
    return all(hasattr(network, name) for name in PARTS)


def unet(network: Any) -> Stages:
    """conv_in with all embeddings; each pair of resnet and attention, and each down- and upsampler with the layer before it where it
    goes up; the middle; and the way out.

    flow.context: what the network gives its blocks (`temb`, `encoder_hidden_states`, masks). flow.skips: one tensor for each layer on
    the way down, which layers on the way up take from the end.
    """
    stages = [Stage("conv_in", lambda flow: _begin(network, flow), _outside(network))]
    for i, block in enumerate(network.down_blocks):
        for j in range(len(block.resnets)):
            stages.append(Stage(f"down_blocks.{i}.{j}", _layer(block, j), _names(block, f"down_blocks.{i}", j)))
        for j, down in enumerate(block.downsamplers or ()):
            stages.append(Stage(f"down_blocks.{i}.downsamplers.{j}", _down(down), (f"down_blocks.{i}.downsamplers.{j}",)))
    stages.append(Stage("mid_block", lambda flow: replace(flow, hidden=_call(network.mid_block, flow)), ("mid_block",)))
    for i, block in enumerate(network.up_blocks):
        for j in range(len(block.resnets)):
            last = j == len(block.resnets) - 1
            names = _names(block, f"up_blocks.{i}", j) + ((f"up_blocks.{i}.upsamplers",) if last else ())
            stages.append(Stage(f"up_blocks.{i}.{j}", _layer(block, j, up=True, last=last), names))
    return Stages(network, [*stages, Stage("conv_out", lambda flow: _end(network, flow), ("conv_norm_out", "conv_act", "conv_out"))])


def _outside(network: nn.Module) -> tuple[str, ...]:
    """Everything that makes the context: whatever is in no block and not on the way out."""
    inside = ("down_blocks", "mid_block", "up_blocks", "conv_norm_out", "conv_act", "conv_out")
    return tuple(name for name, _ in network.named_children() if name not in inside)


def _names(block: Any, name: str, place: int) -> tuple[str, ...]:
    return (f"{name}.resnets.{place}", *((f"{name}.attentions.{place}",) if getattr(block, "attentions", None) else ()))


def _begin(network: Any, flow: Flow) -> Flow:
    """The network's own forward up to its first block."""
    noted: list[dict[str, Any]] = []

    def reached(_module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        words = list(inspect.signature(network.down_blocks[0].forward).parameters)
        noted.append({**dict(zip(words, given, strict=False)), **named})
        raise _Reached

    hook = network.down_blocks[0].register_forward_pre_hook(reached, with_kwargs=True)
    try:
        network(*flow.inputs[0], **flow.inputs[1])
    except _Reached:
        pass
    finally:
        hook.remove()
    hidden = noted[0].pop("hidden_states")
    return replace(flow, hidden=hidden, context=noted[0], skips=(hidden,))


def _layer(block: Any, place: int, *, up: bool = False, last: bool = False) -> Callable[[Flow], Flow]:
    """A resnet, its attention where there is one, and, behind the last on the way up, the upsampler."""

    def run(flow: Flow) -> Flow:
        hidden, skips = flow.hidden, flow.skips
        if up:
            hidden, skips = torch.cat([hidden, skips[-1]], dim=1), skips[:-1]
        hidden = block.resnets[place](hidden, flow.context["temb"])
        if getattr(block, "attentions", None):
            hidden = _call(block.attentions[place], flow.with_hidden(hidden))
        if not up:
            skips = (*skips, hidden)
        for sampler in (getattr(block, "upsamplers", None) or ()) if last else ():
            # a size that halving has rounded up comes back as the next skip has it
            hidden = sampler(hidden, skips[-1].shape[2:] if skips and skips[-1].shape[2] != 2 * hidden.shape[2] else None)
        return replace(flow, hidden=hidden, skips=skips)

    return run


def _down(sampler: Any) -> Callable[[Flow], Flow]:
    def run(flow: Flow) -> Flow:
        hidden = sampler(flow.hidden)
        return replace(flow, hidden=hidden, skips=(*flow.skips, hidden))

    return run


def _call(module: Any, flow: Flow) -> Tensor:
    """A module on the hidden tensor, with what of the context it takes."""
    takes = inspect.signature(module.forward).parameters
    named = {name: value for name, value in flow.context.items() if name in takes}
    if "return_dict" in takes:
        named["return_dict"] = False
    out = module(flow.hidden, **named)
    return out[0] if isinstance(out, tuple) else out  # type: ignore[no-any-return]


def _end(network: Any, flow: Flow) -> Flow:
    hidden = flow.hidden
    if getattr(network, "conv_norm_out", None) is not None:
        hidden = network.conv_act(network.conv_norm_out(hidden))
    hidden = network.conv_out(hidden)
    return replace(flow, hidden=hidden, output=hidden)
