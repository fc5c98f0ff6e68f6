"""Members that stand for several models: results of the same method, from which a merge goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from ...errors import CheckpointError, CompatibilityError
from ...weights.method import Method
from .parts import Part


def with_earlier(
    method: Method, shared: Mapping[str, Any], own: Sequence[dict[str, Any]], members: Sequence[Part]
) -> Sequence[dict[str, Any]]:
    """The members' values, the first one's with the record of the merge that made it, as `earlier`.

    Raises CompatibilityError where a later member has such a record, CheckpointError for one that makes no sense.
    """
    if method.over_model is None or shared.get("state") == "ignore":
        return own
    for index, (values, part) in enumerate(zip(own, members, strict=True)):
        record = part.view.recorded.get(method.name)
        if record is None:
            continue
        if index:
            raise CompatibilityError(
                f"{part.who}: is a result of {method.name}, from which a merge goes on only when it comes first; list it first, "
                "or set state to 'ignore' to merge it as one model"
            )
        if not _sound(record):
            raise CheckpointError(
                f"{part.who}: '{method.name}' in its modelweave.json is damaged, expected count, lambda and norm; "
                "get a fresh copy, or set state to 'ignore'"
            )
        values["earlier"] = record
    return own


def unknown_states(methods: Iterable[Method | None]) -> dict[str, Any]:
    """What stands in for the records of a result that is not merged yet."""
    names = {method.name for method in methods if method is not None and method.over_model is not None}
    return {name: {"count": 1, "lambda": 1.0, "norm": 0.0} for name in sorted(names)}


def _sound(record: Any) -> bool:
    if not isinstance(record, Mapping):
        return False
    count, factor, norm = (record.get(key) for key in ("count", "lambda", "norm"))
    return type(count) is int and count > 0 and _number(factor) and factor > 0 and _number(norm) and norm >= 0


def _number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)
