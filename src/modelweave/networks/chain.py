"""Stages of a network whose blocks hand one tensor on: what stands before and after the blocks is the network's own forward.

The blocks are replaced for a moment by stand-ins that note how they are called and pass their input on. So masks, positions and heads
are the network's own, in whichever version its library is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..errors import CompatibilityError
from .modes import evaluating
from .stages import Flow, Shape, Stage, Stages


@dataclass(frozen=True)
class Call:
    """How a block is called besides its hidden tensor. word: the name under which that is given, empty by place."""

    word: str
    rest: tuple[Any, ...]
    named: dict[str, Any]


class _Reached(BaseException):
    """The network's forward has done what was asked of it."""


class Chain:
    """A network and its blocks by name, in the order in which it calls them."""

    def __init__(self, network: nn.Module, blocks: Sequence[str]) -> None:
        self.network, self.names = network, tuple(blocks)
        self.blocks = [network.get_submodule(name) for name in blocks]
        self._tuples: bool | None = None

    def before(self, flow: Flow) -> Flow:
        """Everything up to the first block, and how each block will be called."""
        calls: list[Call] = []
        hidden: list[Tensor] = []

        def stand_in(place: int, *given: Any, **named: Any) -> Any:
            value, noted = _split(given, named)
            if place != len(calls) or (hidden and value is not hidden[0]):
                where = f"between '{self.names[place - 1]}' and '{self.names[place]}'" if place else f"before '{self.names[0]}'"
                raise CompatibilityError(f"stages: {where} the network does more than hand a tensor on; give a layout with other blocks")
            calls.append(noted)
            hidden[:] = [value]
            if place == len(self.blocks) - 1:
                raise _Reached
            return self._given_back(value)

        self._learn(flow)
        try:
            self._forward(flow, stand_in)
        except _Reached:
            return replace(flow, hidden=hidden[0], context=calls)
        raise CompatibilityError(
            f"stages: the network does not call '{self.names[len(calls)]}'; give a layout with the blocks that it calls"
        )

    def block(self, place: int) -> Callable[[Flow], Flow]:
        """One block."""

        def run(flow: Flow) -> Flow:
            call: Call = flow.context[place]
            named = {**call.named, call.word: flow.hidden} if call.word else call.named
            out = self.blocks[place](*call.rest, **named) if call.word else self.blocks[place](flow.hidden, *call.rest, **named)
            return replace(flow, hidden=out[0] if isinstance(out, tuple) else out)

        return run

    def after(self, flow: Flow) -> Flow:
        """Everything behind the last block."""
        self._learn(flow)
        return replace(flow, output=self._forward(flow, lambda place, *given, **named: self._given_back(flow.hidden)))

    def _given_back(self, value: Any) -> Any:
        return (value,) if self._tuples else value

    def _learn(self, flow: Flow) -> None:
        """Whether blocks give back a tensor or a tuple, which no look at them tells."""
        if self._tuples is not None:
            return

        def reached(_module: Any, _inputs: Any, output: Any) -> None:
            self._tuples = isinstance(output, tuple)
            raise _Reached

        hook = self.blocks[0].register_forward_hook(reached)
        try:
            with evaluating(self.network):
                self.network(*flow.inputs[0], **self._named(flow))
        except _Reached:
            pass
        finally:
            hook.remove()

    def _forward(self, flow: Flow, stand_in: Callable[..., Any]) -> Any:
        with _replaced(self.blocks, stand_in):
            return self.network(*flow.inputs[0], **self._named(flow))

    def _named(self, flow: Flow) -> dict[str, Any]:
        """The named inputs; a cache of keys would grow with every run of a block."""
        named = dict(flow.inputs[1])
        config = getattr(self.network, "config", None)
        if getattr(config, "use_cache", None) and "use_cache" in inspect.signature(self.network.forward).parameters:
            named.setdefault("use_cache", False)
        return named


def chained(network: nn.Module, blocks: Sequence[str], before: Sequence[str], after: Sequence[str], shape: Shape = ()) -> Stages:
    """The stages: one before the blocks, one for each, one after them."""
    chain = Chain(network, blocks)
    inner = [Stage(name, chain.block(place), (name,), shape) for place, name in enumerate(blocks)]
    return Stages(network, [Stage("before", chain.before, tuple(before), shape), *inner, Stage("after", chain.after, tuple(after), shape)])


def _split(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Call]:
    """The hidden tensor of a call, which is the first argument, and all else."""
    if given:
        return given[0], Call("", given[1:], named)
    word = "hidden_states" if "hidden_states" in named else next(iter(named))
    return named[word], Call(word, (), {name: value for name, value in named.items() if name != word})


@contextmanager
def _replaced(blocks: Sequence[nn.Module], stand_in: Callable[..., Any]) -> Iterator[None]:
    """A block in which modules' forwards are `stand_in(place, ...)`."""
    kept = [vars(module).get("forward") for module in blocks]
    try:
        for place, module in enumerate(blocks):
            module.forward = lambda *given, place=place, **named: stand_in(place, *given, **named)
        yield
    finally:
        for module, forward in zip(blocks, kept, strict=True):
            del module.forward
            if forward is not None:
                module.forward = forward
