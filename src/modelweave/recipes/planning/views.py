"""One input as the builder sees it: its tensors by name, tied names resolved, its layers found."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...checkpoints.layers import Layout, find_layout, without_extra
from ...checkpoints.results.manifest import recorded
from ...checkpoints.tensors import Checkpoint, TensorRef
from ...checkpoints.ties import input_embedding, is_head, is_tied
from ...errors import CheckpointError
from ...text.references import plain_name
from .layer_config import FURTHER, declared_layers
from .spelling import respelt

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "position_ids", "inv_freq")


@dataclass(frozen=True)
class View:
    """An input and its place among the inputs. architecture: what the recipe says in place of the config, or None."""

    index: int
    checkpoint: Checkpoint
    architecture: str | None = None

    @property
    def label(self) -> str:
        return self.checkpoint.label

    @cached_property
    def layout(self) -> Layout:
        """The stacks of layers, without what a config counts apart, such as layers that predict further tokens."""
        layout = find_layout(self.checkpoint)
        return without_extra(layout, self.extra_from) if self.extra_from is not None else layout

    @cached_property
    def extra_from(self) -> int | None:
        """The number of the first layer that the config does not count as depth; None where there is none."""
        config = self.checkpoint.config or {}
        inner = config.get("text_config")
        more = config.get(FURTHER, inner.get(FURTHER) if isinstance(inner, Mapping) else None)
        counted = declared_layers(config)
        if type(more) is not int or more < 1 or counted is None:
            return None
        return counted if counted + more in find_layout(self.checkpoint).stacks.values() else None

    @cached_property
    def further(self) -> frozenset[str]:
        """The tensors of layers that the config does not count as depth."""
        return frozenset(find_layout(self.checkpoint).places) - frozenset(self.layout.places)

    @cached_property
    def layers(self) -> Mapping[tuple[str, int], tuple[str, ...]]:
        """(stack, layer) to the names of that layer's tensors."""
        found: dict[tuple[str, int], list[str]] = {}
        for name, place in self.layout.places.items():
            found.setdefault((place.stack, place.layer), []).append(name)
        return {key: tuple(names) for key, names in found.items()}

    @cached_property
    def recorded(self) -> Mapping[str, Any]:
        """The record of the merge that made this input, if one did."""
        return recorded(self.checkpoint)

    @cached_property
    def ties(self) -> bool:
        """Whether the config says that the output head is the input embedding."""
        return is_tied(self.checkpoint.config)

    @cached_property
    def embedding(self) -> str | None:
        """The stored name of the input embedding."""
        return input_embedding(self.checkpoint)

    def leaves_out(self, name: str) -> bool:
        """Whether this model's files need no tensor of that name, because another one is it."""
        if name in self.checkpoint.aliases:
            return True
        return self.ties and is_head(name) and self.embedding is not None

    @cached_property
    def _ties(self) -> Mapping[str, str]:
        """Each name of a tensor that has several, with another of them."""
        found = {**self.checkpoint.shared, **self.checkpoint.aliases}
        return {**{first: name for name, first in found.items()}, **found}

    def is_tied(self, name: str) -> bool:
        """Whether a tensor of that name is another one's, stored or not."""
        return name in self._ties or self.leaves_out(name)

    def tied_to(self, name: str) -> str | None:
        """The tensor that one of that name is tied to, or None."""
        return self._ties.get(name) or (self.embedding if self.leaves_out(name) else None)

    def stored(self, name: str) -> str | None:
        """The name under which a tensor's data stand here, or None."""
        if name in self.checkpoint:
            return name
        target = self.checkpoint.aliases.get(name)
        if target is None and self.leaves_out(name):
            target = self.embedding
        return target if target is not None and target in self.checkpoint else None

    def find(self, name: str) -> TensorRef | None:
        """The tensor of that name, through ties."""
        stored = self.stored(name)
        return None if stored is None else self.checkpoint[stored]

    def is_buffer(self, name: str) -> bool:
        """Whether the tensor is a statistic or constant of its module, not a parameter."""
        return name in self.checkpoint.buffers or name.rpartition(".")[2] in _BUFFERS


def open_views(
    references: Mapping[str, str | None], needs: tuple[str, ...], opened: MutableMapping[str, Checkpoint], near: str | Path | None
) -> dict[str, View]:
    """Every input opened once, in order. references: label to the recipe's override_architecture. needs: results of earlier documents."""
    views: dict[str, View] = {}
    for index, (label, architecture) in enumerate(references.items()):
        checkpoint = open_input(label, needs, opened, near)
        first = next(iter(views.values())).checkpoint if views else checkpoint
        views[label] = View(index, respelt(checkpoint, first), architecture)
    return views


def open_input(label: str, needs: tuple[str, ...], opened: MutableMapping[str, Checkpoint], near: str | Path | None) -> Checkpoint:
    """One input by its label, noted in `opened`; CheckpointError for one that does not exist, or not yet."""
    if label in opened:
        return opened[label]
    path = plain_name(label)
    if path in needs:
        problem = "use it under its plain name" if path in opened else "which is not merged yet"
        raise CheckpointError(f"model '{label}': '{path}' is the result of another document of the recipe, {problem}")
    from ...checkpoints.open import open_checkpoint

    opened[label] = open_checkpoint(label, label=label, near=near)
    return opened[label]
