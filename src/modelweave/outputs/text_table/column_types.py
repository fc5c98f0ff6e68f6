"""Which columns are numbers, which categories, which text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ...errors import CompatibilityError, ParameterError, unknown

KINDS = ("numeric", "categorical", "text", "drop")
DISTINCT, WORDS = 0.1, 3.0
"""Text has more than this share of distinct values, of on average at least so many words."""


@dataclass(frozen=True)
class ColumnTypes:
    """The columns of each kind, in the order of the table."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def with_numbers(self, names: Sequence[str]) -> ColumnTypes:
        """The same and further columns of numbers."""
        return replace(self, numeric=(*self.numeric, *names))

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is used."""
        return (*self.numeric, *self.categorical, *self.text)


NO_COLUMNS = ColumnTypes()


def as_table(X: Any) -> pd.DataFrame:
    """A DataFrame whose columns have words for names: of a DataFrame, or of a 2-D array of numbers, whose columns are then "0", "1", ...

    Raises CompatibilityError for a table without rows or columns, with two columns of one name, or with infinite numbers.
    """
    table = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    names = [str(name) for name in table.columns]
    if not names or not len(table):
        raise CompatibilityError(f"X: expected at least one row and one column, got {len(table)} rows and {len(names)} columns")
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise CompatibilityError(f"X: column '{min(twice)}' occurs twice; give every column a name of its own")
    table = table.set_axis(names, axis=1).reset_index(drop=True)
    for name in names:
        if table[name].dtype.kind == "f" and np.isinf(table[name].to_numpy(np.float64)).any():
            row = int(np.flatnonzero(np.isinf(table[name].to_numpy(np.float64)))[0])
            raise CompatibilityError(f"X: column '{name}' is infinite in row {row}; give a finite number or NaN for what is missing")
    return table


def column_types(table: pd.DataFrame, given: Mapping[Any, str] | None = None) -> ColumnTypes:
    """Guess the kind of each column; `given` overrides it by name, with `drop` for columns to leave out.

    Numbers, flags and dates are numeric, and so are words that all read as numbers. Other words are text when more than a tenth of the
    values differ and they have three words or more on average, and categories otherwise. Columns without any value are left out.

    Raises ParameterError for a name or a kind that is not known. Source: Shi et al. 2021, arXiv 2111.02705, whose code infers kinds
    likewise; its thresholds were not read.

    >>> column_types(pd.DataFrame({"price": [1.5, None], "shop": ["a", "a"], "said": ["not too bad", "would buy again"]}))
    ColumnTypes(numeric=('price',), categorical=('shop',), text=('said',))
    """
    wanted = {str(name): kind for name, kind in (given or {}).items()}
    for name, kind in wanted.items():
        if name not in table.columns:
            raise ParameterError("column_types: " + unknown("column", name, map(str, table.columns)))
        if kind not in KINDS:
            raise ParameterError(f"column_types: column '{name}': " + unknown("kind", str(kind), KINDS))
    kinds = {str(name): wanted.get(str(name)) or _kind(table[name]) for name in table.columns}
    found = ColumnTypes(*(tuple(name for name, kind in kinds.items() if kind == wish) for wish in KINDS[:3]))
    if not found.all:
        raise CompatibilityError("X: no column has a value to learn from; give at least one, or take back 'drop' in column_types")
    return found


def _kind(column: pd.Series) -> str:
    values = column.dropna()
    if not len(values):
        return "drop"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind == "m":
        return "numeric"
    words = values.astype(str)
    if pd.to_numeric(words, errors="coerce").notna().all():
        return "numeric"
    text = words.nunique() > DISTINCT * len(words) and words.str.count(r"\S+").mean() >= WORDS
    return "text" if text else "categorical"


def numbers(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(rows, columns) float64, NaN where a value is missing or no number; dates in seconds."""
    found = np.empty((len(table), len(names)))
    for place, name in enumerate(names):
        column = table[name]
        if column.dtype.kind in "fiub":
            found[:, place] = column.to_numpy(np.float64)
        elif pd.api.types.is_datetime64_any_dtype(column):
            moments = column.dt.tz_convert(None) if getattr(column.dtype, "tz", None) is not None else column
            found[:, place] = (moments - pd.Timestamp(0)).dt.total_seconds().to_numpy(np.float64)
        elif column.dtype.kind == "m":
            found[:, place] = column.dt.total_seconds().to_numpy(np.float64)
        else:
            plain = column.astype(object).where(column.notna(), None)
            found[:, place] = pd.to_numeric(plain, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    found[np.isinf(found)] = np.nan
    return found


def words(table: pd.DataFrame, name: str) -> list[str]:
    """The values of a column as strings, "" where one is missing."""
    column = table[name].astype(object)
    return [str(value) for value in column.where(column.notna(), "")]


class Levels:
    """Category numbers from 1, the most frequent first; 0 for what is missing, was not seen, or is rarer than the first `limit`."""

    def __init__(self, column: pd.Series, limit: int = 250) -> None:
        counts = column.dropna().astype(str).value_counts()
        order = sorted(counts.index, key=lambda word: (-counts[word], word))[:limit]
        self.index = pd.Index(order, dtype=object)

    def __len__(self) -> int:
        return len(self.index)

    def codes(self, column: pd.Series) -> np.ndarray[Any, np.dtype[np.intp]]:
        """(rows,)."""
        plain = column.astype(object)
        found = self.index.get_indexer(pd.Index(plain.where(plain.isna(), plain.astype(str)), dtype=object)) + 1
        return np.where(plain.isna().to_numpy(), 0, found)
