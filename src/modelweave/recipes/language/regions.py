"""The three forms of a recipe, `models`, `slices` and `modules`, brought into one: regions of slices of sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ...errors import RecipeError, unknown
from ...weights.method import Method
from .document import Document, Member, Slice
from .values import Level


@dataclass(frozen=True)
class Source:
    """One model in a block of layers. first: its first layer. listed: False for a base that the recipe did not list here."""

    label: str
    where: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0
    listed: bool = True

    @property
    def level(self) -> Level:
        return f"{self.where}.parameters ('{self.label}')", self.parameters


@dataclass(frozen=True)
class Block:
    """Consecutive output layers. count: how many, None for all that there are. base: label of what deltas are taken from."""

    sources: tuple[Source, ...]
    base: str | None
    where: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    count: int | None = None


@dataclass(frozen=True)
class Region:
    """The tensors of one module, or of the whole model when name is None."""

    name: str | None
    blocks: tuple[Block, ...]
    where: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stacked(self) -> bool:
        """Whether layers are chosen by number, and may therefore be renumbered."""
        return self.blocks[0].count is not None


@dataclass(frozen=True)
class Rule:
    """The method and parameters of a group of tensors.

    only: the members that take part, None for all. own: the recipe's own method, for everything. other_method: an override names one.
    """

    word: str
    method: Method
    where: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[Source, ...] | None = None
    own: bool = False
    other_method: bool = False

    def matches(self, name: str) -> bool:
        """A word with * ? or [ is a pattern over the whole name, any other a part of it."""
        return fnmatchcase(name, self.word) if any(c in self.word for c in "*?[") else self.word in name


def find_method(name: str, methods: Mapping[str, Method], where: str) -> Method:
    """The row of that name, or a RecipeError that names the nearest."""
    if name not in methods:
        raise RecipeError(f"{where}: " + unknown("method", name, methods))
    return methods[name]


def rules_of(document: Document, methods: Mapping[str, Method]) -> tuple[Rule, ...]:
    """The overrides in order, then the recipe's own method for everything."""
    own = find_method(document.merge_method, methods, "merge_method")
    rules = []
    for index, override in enumerate(document.overrides):
        where = f"overrides[{index}]"
        row = own if override.merge_method is None else find_method(override.merge_method, methods, f"{where}.merge_method")
        only = None
        if override.models is not None:
            only = tuple(_member(m, f"{where}.models[{i}]") for i, m in enumerate(override.models))
            known = {reference.label for reference in document.references}
            for source in only:
                if source.label not in known:
                    raise RecipeError(f"{source.where}: " + unknown("model", source.label, known))
        rules.append(Rule(override.filter, row, where, override.parameters, only, other_method=override.merge_method is not None))
    return (*rules, Rule("", own, "merge_method", own=True))


def regions_of(document: Document, method: Method) -> tuple[Region, ...]:
    """The recipe's blocks, with the base added where the recipe leaves it to be understood."""
    base = document.base_model.label if document.base_model else None
    if document.modules:
        return tuple(
            Region(name, _blocks(module.models, module.slices, base, method, f"modules.{name}."), f"modules.{name}", module.parameters)
            for name, module in document.modules.items()
        )
    return (Region(None, _blocks(document.models, document.slices, base, method, ""), ""),)


def _blocks(models: list[Member] | None, slices: list[Slice] | None, base: str | None, method: Method, where: str) -> tuple[Block, ...]:
    if models:
        sources = [_member(member, f"{where}models[{i}]") for i, member in enumerate(models)]
        labels = [source.label for source in sources]
        for index, label in enumerate(labels):
            if label in labels[:index]:
                raise RecipeError(f"{where}models[{index}]: '{label}' is listed twice; give each model one entry")
        if base is not None and base not in labels:
            sources.append(Source(base, "base_model", listed=False))
        return (Block(tuple(sources), base, f"{where}models"),)
    return tuple(_slice(piece, base, method, f"{where}slices[{i}]") for i, piece in enumerate(slices or []))


def _slice(piece: Slice, base: str | None, method: Method, where: str) -> Block:
    base = piece.base_model.label if piece.base_model else base
    first, end = piece.sources[0].layer_range
    sources = [
        Source(source.model.label, f"{where}.sources[{i}]", source.parameters, source.layer_range[0])
        for i, source in enumerate(piece.sources)
    ]
    if base is not None and method.needs.base != "input" and base not in [source.label for source in sources]:
        if any(source.layer_range != [first, end] for source in piece.sources):
            raise RecipeError(f"{where}: the sources have different layers, so those of base_model '{base}' are unclear; add it to sources")
        sources.append(Source(base, "base_model", first=first, listed=False))
    return Block(tuple(sources), base, where, piece.parameters, end - first)


def _member(member: Member, where: str) -> Source:
    return Source(member.model.label, where, member.parameters)
