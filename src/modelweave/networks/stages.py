"""A network seen as a list of stages: what later is cut, joined, widened or aggregated stands between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..errors import CompatibilityError
from .modes import evaluating
from .nested import mapped

Shape = tuple[int | str, ...]
"""Sizes, and names of those that depend on the input: ("batch", "tokens", 768)."""


@dataclass(frozen=True)
class Flow:
    """What runs from stage to stage; a stage makes a new one, so that several routes may begin with the same.

    Attributes:
        inputs: positional and named, as the network was given them.
        hidden: the tensor that stages change.
        context: what the first stage worked out and the others read, such as masks and embeddings of positions or times.
        skips: tensors that wait for a later stage.
        output: what the network returns, once the last stage has run.
    """

    inputs: tuple[tuple[Any, ...], Mapping[str, Any]]
    hidden: Any = None
    context: Any = None
    skips: tuple[Tensor, ...] = ()
    output: Any = None

    def with_hidden(self, hidden: Tensor) -> Flow:
        """The same with another hidden tensor, such as that of another network."""
        return replace(self, hidden=hidden)


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Attributes:
        name: of the stage.
        run: from flow to flow.
        modules: beginnings of the names of its parameters.
        shape: of the hidden tensor behind it, empty where it is not declared, as behind the last one.
    """

    name: str
    run: Callable[[Flow], Flow]
    modules: tuple[str, ...] = ()
    shape: Shape = ()


class Stages(Sequence[Stage]):
    """The stages of a network, in order; called with the network's inputs they give its output.

    Args:
        network: whose parameters the stages have.
        stages: from the first to the last; each parameter belongs to one.

    Raises:
        CompatibilityError: for a parameter that belongs to no stage.

    >>> import torch
    >>> stages = Stages(nn.Identity(), [Stage("double", lambda flow: replace(flow, hidden=2 * flow.inputs[0][0]))])
    >>> stages.run(stages.start(torch.ones(1))).hidden
    tensor([2.])
    """

    def __init__(self, network: nn.Module, stages: Sequence[Stage]) -> None:
        self.network, self._stages = network, tuple(stages)
        self._owners = {name: self._owner(name) for name in network.state_dict()}

    def __getitem__(self, place: Any) -> Any:
        return self._stages[place]

    def __len__(self) -> int:
        return len(self._stages)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages)

    def start(self, *inputs: Any, **named: Any) -> Flow:
        """The flow before the first stage.

        Args:
            inputs: of the network.
            named: of the network.
        """
        return Flow((inputs, named))

    def run(self, flow: Flow, first: int = 0, last: int | None = None) -> Flow:
        """The flow after the stages [first, last).

        Args:
            flow: before the first of them.
            first: from 0.
            last: None: to the end.
        """
        for stage in self._stages[first:last]:
            flow = stage.run(flow)
        return flow

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """What the network returns, stage by stage."""
        return self.run(self.start(*inputs, **named)).output

    def state(self, place: int) -> dict[str, Tensor]:
        """Parameters and buffers of one stage, under their names in the network; those of all stages make the network's state dict."""
        place = range(len(self))[place]
        return {name: value for name, value in self.network.state_dict().items() if self._owners[name] == place}

    def parameters(self, place: int) -> list[nn.Parameter]:
        """The parameters of one stage; a tied one belongs to the first stage that has it."""
        place = range(len(self))[place]
        return [value for name, value in self.network.named_parameters() if self._owners[name] == place]

    def shapes(self, *inputs: Any, **named: Any) -> list[tuple[int, ...]]:
        """Of the hidden tensor behind each stage, on inputs like these; nothing is computed.

        Args:
            inputs: of the network.
            named: of the network.
        """
        with FakeTensorMode(allow_non_fake_inputs=True) as fake, evaluating(self.network):
            given, words = mapped((inputs, named), fake.from_tensor)
            flow, found = self.start(*given, **words), []
            for stage in self:
                flow = stage.run(flow)
                found.append(tuple(int(size) for size in flow.hidden.shape))
        return found

    def check(self, *inputs: Any, **named: Any) -> None:
        """Run the stages on tensors without data like these inputs.

        Args:
            inputs: of the network.
            named: of the network.

        Raises:
            CompatibilityError: where a shape is not the declared one.
        """
        known: dict[str, int] = {}
        for stage, found in zip(self, self.shapes(*inputs, **named), strict=True):
            if not stage.shape:
                continue
            wanted = tuple(
                known.setdefault(size, got) if isinstance(size, str) else size for size, got in zip(stage.shape, found, strict=False)
            )
            if wanted != found or len(stage.shape) != len(found):
                raise CompatibilityError(
                    f"stage '{stage.name}': gives the shape {found}, expected {stage.shape}; give a spec that fits the network"
                )

    def _owner(self, name: str) -> int:
        """The place of the stage whose module's name begins the tensor's, the longest one."""
        fits = [(len(word), -place) for place, stage in enumerate(self) for word in stage.modules if _within(name, word)]
        if not fits:
            raise CompatibilityError(
                f"stages: '{name}' belongs to no stage; give a layout that names its module before or after the blocks"
            )
        return -max(fits)[1]


def _within(name: str, module: str) -> bool:
    return not module or name == module or name.startswith(module + ".")


def sequential(network: nn.Sequential) -> Stages:
    """Each child is a stage."""
    children = list(network.named_children())

    def stage(place: int, child: nn.Module) -> Callable[[Flow], Flow]:
        def run(flow: Flow) -> Flow:
            hidden = child(flow.inputs[0][0] if place == 0 else flow.hidden)
            return replace(flow, hidden=hidden, output=hidden if place == len(children) - 1 else None)

        return run

    return Stages(network, [Stage(name, stage(place, child), (name,)) for place, (name, child) in enumerate(children)])


def declared(stages: Stages, *inputs: Any, **named: Any) -> Stages:
    """The same with the shapes that these inputs lead to; their first size is that of the batch."""
    found: list[Shape] = [("batch", *shape[1:]) for shape in stages.shapes(*inputs, **named)]
    return Stages(stages.network, [replace(stage, shape=stage.shape or shape) for stage, shape in zip(stages, found, strict=True)])
