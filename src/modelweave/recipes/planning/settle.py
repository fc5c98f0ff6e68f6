"""The recipe's policies: tensors that only some inputs have, tensors whose shapes differ."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import CompatibilityError
from ...weights.method import Method
from ..language.regions import Source
from ..tokenizer.vocabulary import embedding_rows, is_vocabulary_tensor
from .outputs import Output
from .parts import Absence, Part, Surroundings, copied, part_of
from .plan import TensorPlan


def settle_missing(
    output: Output, present: Sequence[Part], absent: Absence, base: Part | None, method: Method, around: Surroundings
) -> TensorPlan | Sequence[Part] | None:
    """What `missing` says: the parts that merge without the absent one, a copy, or None for no output.

    base: the part that deltas are taken from, if it is present.
    """
    policy = around.document.missing
    lacking = f"missing in '{absent.view.label}'"
    if policy == "error":
        holder = present[0].view if present else around.donor
        raise CompatibilityError(
            f"model '{absent.view.label}': {absent.name} is missing, model '{holder.label}' has it; "
            "set missing to 'base', 'intersection' or 'union'"
        )
    if not present:  # what only the donor has, beside the layers of slices
        lent = part_of(Source(around.donor.label, "recipe"), output.name, around)
        taken = policy == "union" or (policy == "base" and around.donor.label == around.base_label)
        return copied(output, lent, [], lacking, around) if taken and isinstance(lent, Part) else None
    own = next((part for part in present if part.source.label == around.base_label), None)
    if policy == "base" and own is not None:
        return copied(output, own, present, lacking, around)
    if policy == "union":
        return _union(output, present, base, method, lacking, around)
    for part in present:
        around.ledger.drop(part.view, part.name, f"{lacking} (missing: {policy})")
    return None


def _union(
    output: Output, present: Sequence[Part], base: Part | None, method: Method, lacking: str, around: Surroundings
) -> TensorPlan | Sequence[Part]:
    takes_deltas = method.needs.base != "input" and around.base_label is not None
    members = [part for part in present if part is not base]
    if takes_deltas and base is None:
        others = ", ".join(f"'{part.view.label}'" for part in present[1:])
        gives_way = f", {others} give way" if others else ""
        return copied(output, present[0], present, f"{lacking} (missing: union){gives_way}", around)
    if len(present) == 1 or len(members) < method.needs.min_models:
        return copied(output, base or present[0], present, f"{lacking}, too few are left for {method.name} (missing: union)", around)
    return present


def settle_shapes(output: Output, present: Sequence[Part], giver: Part, around: Surroundings) -> TensorPlan | None:
    """None when all shapes are equal; otherwise a copy of the base's tensor, or a CompatibilityError with the remedy."""
    other = next((part for part in present if part.ref.shape != giver.ref.shape), None)
    if other is None:
        return None
    theirs, ours = (" x ".join(map(str, part.ref.shape)) or "a scalar" for part in (other, giver))
    is_base = giver.source.label == around.base_label
    whose = "base" if is_base else f"model '{giver.view.label}'"
    if around.document.shapes == "base" and is_base:
        return copied(output, giver, present, f"'{other.view.label}' has {theirs}, base has {ours} (shapes: base)", around)
    if around.vocabulary is None and _only_rows_of_tokens_differ(other, giver):
        remedy = "set tokenizer.source to 'union' or 'base'"
    elif is_base:
        remedy = "merge models of one architecture, or set shapes to 'base' to take the base's tensor"
    else:
        remedy = "merge models of one architecture, or give a base_model and set shapes to 'base'"
    raise CompatibilityError(f"model '{other.view.label}': {other.name} is {theirs}, {whose} has {ours}; {remedy}")


def _only_rows_of_tokens_differ(one: Part, two: Part) -> bool:
    rows = embedding_rows(one.view.checkpoint)
    return rows is not None and one.ref.shape[1:] == two.ref.shape[1:] and is_vocabulary_tensor(one.name, one.ref.shape, rows)
