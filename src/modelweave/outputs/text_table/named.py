"""The members by name: the family each belongs to, the columns it reads, and how it is made for the columns of a level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...errors import ParameterError, unknown
from ..estimators.table import TowerMember
from .column_types import NO_COLUMNS, ColumnTypes
from .members import Boosting, ExtraTrees, LinearModel, TypedEstimator
from .network_member import Network


@dataclass(frozen=True)
class Row:
    """reads: `all` columns, `tabular` or `text`. text: whether it has no place in a table without text. options: of `make`, preset."""

    name: str
    title: str
    family: str
    make: Callable[..., TypedEstimator]
    reads: str = "all"
    text: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


_LARGE = {"rate": 0.03, "leaves": 128, "least": 3, "share": 0.9}
_ROWS = (
    Row("gbm", "boosting on all columns, text as n-gram counts", "gbm", Boosting),
    Row("gbm_tabular", "boosting without text", "gbm", Boosting, "tabular", True, {"ngrams": None}),
    Row("gbm_large", "boosting with large trees", "gbm", Boosting, options=_LARGE),
    Row("gbm_pre_embedding", "boosting on an encoder's vectors as they come", "gbm", Boosting, text=True, options={"frozen": True}),
    Row("gbm_text_embedding", "boosting on vectors of a network trained on the text", "gbm", Boosting, text=True),
    Row("gbm_multimodal_embedding", "boosting on vectors of a network trained on all columns", "gbm", Boosting, text=True),
    Row("extra_trees", "extremely randomised trees, text as n-gram counts", "extra_trees", ExtraTrees),
    Row("linear", "logistic or ridge regression on TF-IDF and standardised numbers", "linear", LinearModel),
    Row("network", "Transformer with numbers and categories fused late, or as `fusion` says", "network", Network),
    Row("network_early", "Transformer that reads numbers and categories as tokens", "network", Network, options={"fusion": "early"}),
    Row("network_all_text", "Transformer that reads everything as text", "network", Network, options={"fusion": "all_text"}),
    Row("network_text", "Transformer on the text alone", "network", Network, "text", True),
)
MEMBERS: Mapping[str, Row] = {row.name: row for row in _ROWS}
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
        if (row.text and not types.text) or (row.reads == "tabular" and not (types.numeric or types.categorical)):
            continue
        make = _Maker(row, classification, dict(given.get(name, {})), usual, seed)
        found.append(TypedMember(name, make(types), family=row.family, types=types, make=make))
    if not found:
        raise ParameterError(f"members: none of {', '.join(wanted)} has columns to read in this table; add gbm or linear")
    return found


@dataclass(frozen=True)
class _Maker:
    """Makes a member for the columns of a level."""

    row: Row
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
        if row.name.endswith("_embedding"):
            inner = {**self.usual, **options.pop("network", {})}
            own = ColumnTypes(text=types.text) if row.name != "gbm_multimodal_embedding" else types
            options["network"] = Network(**{**common, "types": own, **inner})
            options.setdefault("ngrams", None)
        known = row.make().get_params()
        for word in options:
            if word not in known:
                raise ParameterError(f"options: {row.name}: " + unknown("option", word, known))
        return row.make(**common, **options)
