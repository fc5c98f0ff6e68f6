"""From one output's names to its plan: who takes part, by which method, with which values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError
from ...weights.method import Method
from ...weights.part import spec_of
from ..language.document import Document
from ..language.regions import Block, Region, Rule, Source
from .after import steps_of
from .beside import beside_members
from .outputs import Output
from .parameters import levels_of, member_values, preset_of, shared_values
from .parts import Part, Surroundings, copied, out_dtype, part_of
from .plan import TensorPlan
from .settle import settle_missing, settle_shapes


def tensor_plan(output: Output, around: Surroundings) -> TensorPlan | None:
    """The plan of one output, or None when a policy leaves it out; raises CompatibilityError and ParameterError."""
    if output.block is None or output.region is None:
        part = part_of(Source(around.donor.label, "recipe"), output.name, around)
        return copied(output, part, [], "outside the recipe's modules", around) if isinstance(part, Part) else None
    rule = next(rule for rule in around.rules if rule.matches(output.name))
    check_counts(rule, output.block, around.document)
    found = _parts(output, output.block, rule, around)
    present: Sequence[Part] = [part for part in found if isinstance(part, Part)]
    base = next((p for p in present if p.source.label == output.block.base), None) if rule.method.needs.base != "input" else None
    absent = next((part for part in found if not isinstance(part, Part)), None)
    if absent is not None:
        settled = settle_missing(output, present, absent, base, rule.method, around)
        if settled is None or isinstance(settled, TensorPlan):
            return settled
        present = settled
    giver = next((part for part in present if part.source.label == output.block.base), present[0])
    whole = [part for part in present if not part.ref.floating]
    if len(whole) == len(present):
        return copied(output, giver, present, f"{giver.ref.dtype} values are not averaged", around)
    if any(part.view.is_buffer(part.name) for part in present):
        return copied(output, giver, present, "a buffer, not a parameter", around)
    if whole:
        other = next(part for part in present if part.ref.floating)
        raise CompatibilityError(
            f"model '{whole[0].view.label}': {whole[0].name} holds {whole[0].ref.dtype}, model '{other.view.label}' has {other.ref.dtype}; "
            "save a quantised model in a floating type first"
        )
    return settle_shapes(output, present, giver, around) or _merged(output, output.region, output.block, rule, present, base, around)


def check_counts(rule: Rule, block: Block, document: Document) -> None:
    """Raise CompatibilityError when a block has too few or too many members for the rule's method, or lacks a base."""
    method, sources = rule.method, _sources(block, rule, document)
    where = block.where if rule.own else rule.where
    has_base = method.needs.base != "input" and block.base in [source.label for source in sources]
    if method.needs.base in ("required", "first") and not has_base:
        raise CompatibilityError(f"{where}: {method.name} compares the models with a base, none is given; add base_model")
    count = len(sources) - has_base
    low, high = method.needs.min_models, method.needs.max_models
    if count < low or (high is not None and count > high):
        wanted = f"at least {low}" if high is None else f"{low}" if low == high else f"{low} to {high}"
        labels = ", ".join(source.label for source in sources if not (has_base and source.label == block.base)) or "none"
        remedy = "list more models" if count < low else "list fewer models, or take another method"
        raise CompatibilityError(
            f"{where}: {method.name} takes {wanted} model{'s' * (wanted != '1')}{' beside base_model' * has_base}, "
            f"got {count} ({labels}); {remedy}"
        )


def _sources(block: Block, rule: Rule, document: Document) -> list[Source]:
    """Who takes part. A base that is only understood is no ordinary member where other methods take deltas from it."""
    takes_deltas = rule.method.needs.base != "input"
    if rule.only is not None:
        labels = {source.label for source in rule.only}
        return [s for s in block.sources if s.label in labels or (takes_deltas and s.label == block.base)]
    if not takes_deltas and (rule.other_method or document.overrides):
        return [s for s in block.sources if s.listed] or list(block.sources)
    return list(block.sources)


def _parts(output: Output, block: Block, rule: Rule, around: Surroundings) -> list[Any]:
    chosen = {id(source) for source in _sources(block, rule, around.document)}
    passed = [pair for pair in zip(block.sources, output.names, strict=True) if id(pair[0]) not in chosen]
    for source, name in passed:
        around.ledger.drop(around.views[source.label], name, f"takes no part in {rule.where}")
    return [part_of(s, name, around) for s, name in zip(block.sources, output.names, strict=True) if id(s) in chosen]


def _merged(
    output: Output, region: Region, block: Block, rule: Rule, present: Sequence[Part], base: Part | None, around: Surroundings
) -> TensorPlan:
    method: Method = rule.method
    members = [part for part in present if part is not base]
    for part in present:
        around.ledger.reach(part.view, part.name)
    preset = preset_of(around.document, rule)
    shared = shared_values(method, levels_of(around.document, region, block, rule), preset, name=output.name, t=output.t)
    own = []
    for part in members:
        levels = levels_of(around.document, region, block, rule, part.source)
        own.append(member_values(method, levels, preset, name=part.name, t=output.t, who=part.who))
        method.check_together({**shared, **own[-1]}, part.who)
    records = [part.view.recorded.get(method.name) for part in members] if method.over_model else []
    states = method.over_model.states(records, [part.who for part in members], shared) if method.over_model else ()
    steps = steps_of(around.document.after, method, base is not None)
    settings = {p.sets: shared[p.name] for p in method.parameters if p.sets}
    if steps:
        word = next((p.name for p in method.parameters if p.sets == "scale"), "scale")
        factors = [step(output.layer, output.layers, len(members)) for step in steps]
        shared[word] = settings["scale"] = math.prod([settings.get("scale", 1.0), *factors])
    if base is not None and method.needs.base == "first":
        members, own, base = [base, *members], [{}, *own], None
    lender = base or next((part for part in present if part.view is around.donor), present[0])
    plan = TensorPlan(
        name=output.name,
        shape=lender.ref.shape,
        dtype=out_dtype([part.ref for part in present], around.document),
        method=method,
        inputs=tuple(part.ref for part in members),
        base=base.ref if base is not None else None,
        labels=tuple(part.view.label for part in members),
        members=_numbers(members, len(around.views)),
        shared=shared,
        per_input=tuple(own),
        states=states,
        **beside_members(method, members, around.statistics),
        **settings,
        layer=output.layer,
        layers=output.layers,
        stream=around.donor.checkpoint.shared.get(output.name, ""),
    )
    _check_answer(plan)
    return plan


def _check_answer(plan: TensorPlan) -> None:
    """Ask a part for its coefficients, so that what it refuses is refused before a byte is read.

    One that wants inner products is asked as if the inputs had nothing in common; what it says of them does not count.
    """
    assert plan.method is not None
    spec = spec_of(plan.method.combine)
    if spec.kind != "coefficients":
        return
    options = {name: plan.shared[name] for name in spec.options} | ({"context": plan.context} if spec.placed else {})
    try:
        plan.method.combine(np.eye(len(plan.inputs)) if spec.gram else None, plan.per_input, **options)
    except ParameterError as error:
        raise ParameterError(f"{plan.name}: {error}") from error
    except CompatibilityError:
        pass


def _numbers(members: Sequence[Part], step: int) -> tuple[int, ...]:
    """The members' numbers; a model that appears twice in one output gets another number the second time."""
    numbers: list[int] = []
    for part in members:
        number = part.number
        while number in numbers:
            number += step
        numbers.append(number)
    return tuple(numbers)
