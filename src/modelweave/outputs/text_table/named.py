"""The members by name: the family each belongs to, the columns it reads, and how it is made for the columns of a level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ParameterError, unknown
from ..estimators.table import TowerMember
from .column_types import NO_COLUMNS, ColumnTypes
from .members import TypedEstimator
from .network_member import Network
from .published import MEMBERS, TableMember

DEFAULT = ("gbm_tabular", "gbm", "extra_trees", "linear", "network")


@dataclass(frozen=True)
class TypedMember(TowerMember):
    """A member that knows which columns it reads and how. make: from the columns' types at its level."""

    types: ColumnTypes = NO_COLUMNS
    make: Callable[[ColumnTypes], Any] = TypedEstimator

    def above(self, columns: Sequence[str]) -> TypedMember:
        """The member that reads predictions in these columns, too, as numbers."""
        types = self.types.with_numbers(columns)
        return replace(self, types=types, estimator=self.make(types))


def choose(
    names: Sequence[str] | Mapping[str, Any] | None,
    types: ColumnTypes,
    *,
    classification: bool,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    fusion: str = "late",
    encoder: str | Path | None = None,
    metric: Any = None,
    seed: int = 0,
) -> list[TowerMember]:
    """The members asked for that have something to read in such a table; a mapping gives estimators of DataFrames under their names.

    options: parameters by member. `fusion`, `encoder` and `metric` are for the networks. Raises ParameterError for unknown words, and
    where no member is left.
    """
    if isinstance(names, Mapping):
        return [TowerMember(str(name), estimator, family=str(name)) for name, estimator in names.items()]
    wanted = DEFAULT if names is None else tuple([names] if isinstance(names, str) else names)
    given = options or {}
    for name in (*wanted, *given):
        if name not in MEMBERS:
            raise ParameterError("members: " + unknown("member", str(name), MEMBERS))
    usual = {"fusion": fusion, "encoder": encoder, "metric": metric}
    found: list[TowerMember] = []
    for name in dict.fromkeys(wanted):
        row = MEMBERS[name]
        if (row.needs_text and not types.text) or (row.reads == "tabular" and not (types.numeric or types.categorical)):
            continue
        make = _Maker(row, classification, dict(given.get(name, {})), usual, seed)
        found.append(TypedMember(name, make(types), family=row.family, types=types, make=make))
    if not found:
        raise ParameterError(f"members: none of {', '.join(wanted)} has columns to read in this table; add gbm or linear")
    return found


@dataclass(frozen=True)
class _Maker:
    """Makes a member for the columns of a level."""

    row: TableMember
    classification: bool
    given: dict[str, Any]
    usual: dict[str, Any]
    seed: int

    def __call__(self, types: ColumnTypes) -> Any:
        row = self.row
        if row.reads != "all":
            types = replace(types, text=()) if row.reads == "tabular" else ColumnTypes(text=types.text)
        common: dict[str, Any] = {"types": types, "classification": self.classification, "seed": self.seed}
        options = {**(self.usual if row.make is Network else {}), **row.options, **self.given}
        if row.vectors:
            inner = {**self.usual, **options.pop("network", {})}
            own = ColumnTypes(text=types.text) if row.vectors == "text" else types
            options["network"] = Network(**{**common, "types": own, **inner})
            options.setdefault("ngrams", None)
        known = row.make().get_params()
        for word in options:
            if word not in known:
                raise ParameterError(f"options: {row.name}: " + unknown("option", word, known))
        return row.make(**common, **options)
