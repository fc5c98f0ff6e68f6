"""A method's parameters for one tensor: found on the recipe's levels, checked, completed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...errors import ParameterError, unknown
from ...row import Parameter, Scope
from ...weights.method import Method
from ..language.document import Document
from ..language.regions import Block, Region, Rule, Source
from ..language.values import UNSET, Level, filters, leaves, resolve


def check_levels(document: Document, regions: Sequence[Region], rules: Sequence[Rule]) -> tuple[str, ...]:
    """Check every value of every level before any tensor is looked at; returns warnings.

    Raises ParameterError for a name that no method in use knows (in an override: that its method does not know), and for a
    value that no such method accepts.
    """
    used = list({rule.method.name: rule.method for rule in reversed(rules)}.values())
    for rule in rules[:-1]:
        for where, settings in ((f"{rule.where}.parameters", rule.parameters), *(source.level for source in rule.only or ())):
            _check_level(where, settings, [rule.method])
    _check_level("parameters", document.parameters, used)
    warnings: list[str] = []
    for region in regions:
        _check_level(f"{region.where}.parameters", region.parameters, used)
        for block in region.blocks:
            _check_level(f"{block.where}.parameters", block.parameters, used)
            for source in block.sources:
                _check_level(*source.level, used)
                warnings += _without_effect(source, block, used)
    return tuple(warnings)


def _check_level(where: str, settings: Any, methods: Sequence[Method]) -> None:
    for word, setting in settings.items():
        fitting = [p for method in methods for p in method.parameters if word in p.words]
        if not fitting:
            known = {word for method in methods for p in method.parameters for word in p.words}
            kind = "parameter of " + " and ".join(method.name for method in methods)
            raise ParameterError(
                f"{where}: " + (unknown(kind, word, known) if known else f"{methods[0].name} takes no parameters, got '{word}'")
            )
        for value in leaves(setting):
            _check_value(fitting, value, where)


def _check_value(fitting: Sequence[Parameter], value: Any, where: str) -> None:
    for last, parameter in ((p is fitting[-1], p) for p in fitting):
        try:
            parameter.check(value, where)
            return
        except ParameterError:
            if last:
                raise


def _without_effect(source: Source, block: Block, methods: Sequence[Method]) -> Iterator[str]:
    for word in source.parameters:
        scopes = {p.scope for method in methods for p in method.parameters if word in p.words}
        if scopes == {"shared"}:
            place = f"{source.where}.parameters"
            yield f"{place}: {word} is one value for all models and has no effect here; move it to the recipe's parameters"
        elif scopes == {"model"} and source.label == block.base:
            yield f"{source.where}.parameters: {word} has no effect for base_model '{source.label}'"


def filters_used(document: Document, regions: Sequence[Region], rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """Every filter inside parameters, with its place."""
    levels: list[Level] = [("parameters", document.parameters)]
    levels += [(f"{rule.where}.parameters", rule.parameters) for rule in rules]
    for region in regions:
        levels.append((f"{region.where}.parameters", region.parameters))
        for block in region.blocks:
            levels.append((f"{block.where}.parameters", block.parameters))
            levels += [source.level for source in block.sources]
    for where, settings in levels:
        for word, setting in settings.items():
            for filter_ in filters(setting):
                yield f"{where}: {word}", filter_


def levels_of(document: Document, region: Region, block: Block, rule: Rule, source: Source | None = None) -> tuple[Level, ...]:
    """The levels that hold a parameter, the most particular first."""
    chosen = next((s for s in rule.only or () if source is not None and s.label == source.label), None)
    return (
        *([chosen.level] if chosen else []),
        (f"{rule.where}.parameters", rule.parameters),
        *([source.level] if source else []),
        (f"{block.where}.parameters", block.parameters),
        (f"{region.where}.parameters", region.parameters),
        ("parameters", document.parameters),
    )


def preset_of(document: Document, rule: Rule) -> str | None:
    """The preset that counts for a rule: the document's, where the rule has the document's method."""
    return None if rule.other_method else document.preset


def shared_values(method: Method, levels: Iterable[Level], preset: str | None, *, name: str, t: float) -> dict[str, Any]:
    """The parameters that all members share, for one output tensor at depth t."""
    return _values(method, tuple(levels), preset, ("shared",), name, t, "recipe")


def member_values(method: Method, levels: Iterable[Level], preset: str | None, *, name: str, t: float, who: str) -> dict[str, Any]:
    """One member's own parameters, for its tensor of that name."""
    return _values(method, tuple(levels), preset, ("model", "input"), name, t, who)


def _values(
    method: Method, levels: tuple[Level, ...], preset: str | None, scopes: tuple[Scope, ...], name: str, t: float, who: str
) -> dict[str, Any]:
    found = {p.name: resolve(p, levels, name=name, t=t) for p in method.parameters if p.scope in scopes}
    given = {word: value for word, value in found.items() if value is not UNSET}
    lacking = f"none is given for {name}; add it to the {'model' if 'model' in scopes else 'recipe'}'s parameters"
    return method.settle(given, preset, where=who, scopes=scopes, lacking=lacking)
