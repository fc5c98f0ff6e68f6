"""The rows: every kind of member that a table with text may be given to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from ...row import Row

_COLUMNS = {"all": "all columns", "tabular": "numbers and categories", "text": "text"}
_FUSED = "Shi et al. 2021, arXiv 2111.02705, section 4"


@dataclass(frozen=True, kw_only=True)
class TableMember(Row):
    """One way to predict from typed columns.

    estimator: its class, as "module.Class" of this folder. family: members of one family are alike. reads: which columns. needs_text:
    whether it has no place in a table without text. vectors: the columns that a network reads, whose vectors join as numbers. options:
    arguments of the estimator that make the member what it is.
    """

    estimator: str
    family: str
    reads: Literal["all", "tabular", "text"] = "all"
    needs_text: bool = False
    vectors: Literal["", "all", "text"] = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    level: str = "outputs/text_table"
    paper: int | None = 13

    @property
    def make(self) -> Callable[..., Any]:
        """The estimator's class, imported when it is asked for."""
        module, _, name = self.estimator.partition(".")
        made: Callable[..., Any] = getattr(import_module(f".{module}", __package__), name)
        return made

    @property
    def takes(self) -> str:
        return {"all": "any", "tabular": "no text", "text": "text"}[self.reads]

    @property
    def facts(self) -> Mapping[str, str]:
        name = self.estimator.partition(".")[2]
        return {"reads": _COLUMNS[self.reads], "parameters": f"the arguments of {name}, in options={{'{self.name}': {{...}}}}"}

    @property
    def data(self) -> Mapping[str, Any]:
        return {"reads": self.reads, "needs_text": self.needs_text, "options": dict(self.options)}

    @property
    def example(self) -> str:
        """The estimator with it and a linear model."""
        return f'modelweave.TextTableClassifier(members=["{self.name}", "{"gbm" if self.name == "linear" else "linear"}"])'


_BOOSTING: dict[str, Any] = {"estimator": "members.Boosting", "family": "gbm", "group": "boosting"}
_NETWORK: dict[str, Any] = {"estimator": "network_member.Network", "family": "network", "group": "networks"}
_TREES = "Friedman 2001; Ke et al. 2017"
_SUM = "sum of trees, each fitted to the gradient of the loss of those before"

ROWS: tuple[TableMember, ...] = (
    TableMember(
        "gbm",
        "boosting on all columns, text as n-gram counts",
        _SUM,
        _TREES,
        purpose="the first to try on any table",
        **_BOOSTING,
    ),
    TableMember(
        "gbm_tabular",
        "boosting without text",
        _SUM,
        _TREES,
        purpose="tables whose texts say little",
        reads="tabular",
        needs_text=True,
        options={"ngrams": None},
        **_BOOSTING,
    ),
    TableMember(
        "gbm_large",
        "boosting with large trees",
        _SUM,
        _TREES,
        purpose="many rows, columns that interact",
        options={"rate": 0.03, "leaves": 128, "least": 3, "share": 0.9},
        **_BOOSTING,
    ),
    TableMember(
        "gbm_pre_embedding",
        "boosting on an encoder's vectors as they come",
        _SUM,
        _FUSED,
        purpose="few rows, a good encoder of text",
        needs_text=True,
        vectors="text",
        options={"frozen": True},
        **_BOOSTING,
    ),
    TableMember(
        "gbm_text_embedding",
        "boosting on vectors of a network trained on the text",
        _SUM,
        _FUSED,
        purpose="texts decide, columns help",
        needs_text=True,
        vectors="text",
        **_BOOSTING,
    ),
    TableMember(
        "gbm_multimodal_embedding",
        "boosting on vectors of a network trained on all columns",
        _SUM,
        _FUSED,
        purpose="texts that columns put in context",
        needs_text=True,
        vectors="all",
        **_BOOSTING,
    ),
    TableMember(
        "extra_trees",
        "extremely randomised trees, text as n-gram counts",
        "mean of trees that split at random thresholds",
        "Geurts et al. 2006",
        purpose="unlike boosting, good beside it",
        estimator="members.ExtraTrees",
        family="extra_trees",
        group="other trees",
    ),
    TableMember(
        "linear",
        "logistic or ridge regression on TF-IDF and standardised numbers",
        "softmax(A x + b), or A x + b for numbers",
        "Hoerl and Kennard 1970 (ridge)",
        purpose="long texts, or few rows",
        estimator="members.LinearModel",
        family="linear",
        group="linear models",
    ),
    TableMember(
        "network",
        "Transformer with numbers and categories fused late, or as `fusion` says",
        "head(vectors of text, numbers and categories, side by side)",
        _FUSED,
        purpose="many rows of text beside columns",
        **_NETWORK,
    ),
    TableMember(
        "network_early",
        "Transformer that reads numbers and categories as tokens",
        "head(Transformer(tokens of text and of columns))",
        _FUSED,
        purpose="texts that refer to the columns",
        options={"fusion": "early"},
        **_NETWORK,
    ),
    TableMember(
        "network_all_text",
        "Transformer that reads everything as text",
        "head(Transformer(columns written out as text))",
        _FUSED,
        purpose="columns whose words say a lot",
        options={"fusion": "all_text"},
        **_NETWORK,
    ),
    TableMember(
        "network_text",
        "Transformer on the text alone",
        "head(Transformer(text))",
        _FUSED,
        purpose="tables whose columns say little",
        reads="text",
        needs_text=True,
        **_NETWORK,
    ),
)

MEMBERS: dict[str, TableMember] = {row.name: row for row in ROWS}
