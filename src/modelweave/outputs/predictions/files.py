"""Predictions and targets from CSV and Parquet files, matched by the key in their first column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...extras import extra
from ...text.words import counted

ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True)
class Targets:
    """values: targets by key (pandas Series). columns: group, time and others by name, in the same order. notes: what was done to them."""

    values: Any
    columns: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_members(folder: str | Path) -> dict[str, Any]:
    """File name without its ending to a pandas table, one column a class, or to a Series where there is one column `prediction`.

    Raises InputError for a folder or file that cannot be read or has other contents.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(
            f"{folder}: expected a folder with one CSV or Parquet file a member, found {'a file' if place.exists() else 'nothing'}"
        )
    files = sorted(file for file in place.iterdir() if file.suffix.lower() in ENDINGS)
    if not files:
        raise InputError(f"{folder}: has no file that ends in .csv or .parquet; expected one a member")
    found: dict[str, Any] = {}
    for file in files:
        if file.stem in found:
            raise InputError(f"{folder}: has two files of a member '{file.stem}'; keep one")
        found[file.stem] = _member(file)
    return found


def _member(file: Path) -> Any:
    table = read_table(file)
    if table.shape[1] == 1:
        if table.columns[0] != "prediction":
            raise InputError(f"{file}: has the one column '{table.columns[0]}' after the key; expected 'prediction', or one column a class")
        table = table["prediction"]
    words = [name for name, kind in ([("prediction", table.dtype)] if table.ndim == 1 else table.dtypes.items()) if kind.kind not in "fiub"]
    if words:
        raise InputError(f"{file}: column '{words[0]}' is not all numbers; expected probabilities or numbers")
    return table


def read_targets(file: str | Path) -> Targets:
    """The table key,target[,group][,time][,...]; rows are put in the order of time."""
    table = read_table(Path(file))
    if "target" not in table.columns:
        raise InputError(
            f"{file}: has no column 'target'; expected key,target and optionally group and time, got {', '.join(table.columns)}"
        )
    for name in {"target", "group", "time"} & set(table.columns):
        empty = table.index[table[name].isna()]
        if len(empty):
            raise InputError(f"{file}: key '{empty[0]}' has no {name}; fill it in or leave out the row")
    notes: tuple[str, ...] = ()
    if "time" in table.columns:
        table["time"] = _moments(file, table["time"])
        if not table["time"].is_monotonic_increasing:
            table = table.sort_values("time", kind="stable")
            notes = ("the rows of the targets were not in the order of time; they are now",)
    columns = {name: table[name].to_numpy() for name in table.columns if name != "target"}
    return Targets(table["target"], columns, notes)


def _moments(file: str | Path, values: Any) -> Any:
    import pandas

    if values.dtype.kind in "iufM":
        return values
    try:
        return pandas.to_datetime(values)
    except (ValueError, TypeError):
        raise InputError(f"{file}: column 'time' is neither numbers nor dates, as in {values.iloc[0]!r}; write 2024-05-31") from None


def read_table(file: Path) -> Any:
    """A pandas table with the first column, as words, for its index."""
    pandas = extra("pandas", "tabular")
    if not file.is_file():
        raise InputError(f"{file}: expected a CSV or Parquet file, found {'a folder' if file.exists() else 'nothing'}")
    is_parquet = file.suffix.lower() == ".parquet"
    if is_parquet:
        extra("pyarrow", "parquet")
    try:
        table = pandas.read_parquet(file) if is_parquet else pandas.read_csv(file, dtype={0: str})
    except (ValueError, OSError, pandas.errors.ParserError) as error:
        raise InputError(f"{file}: cannot be read as a table: {str(error).splitlines()[0]}") from None
    if table.index.name is not None:
        table = table.reset_index()
    if table.shape[1] < 2 or not len(table):
        raise InputError(
            f"{file}: has {counted(table.shape[1], 'column')} and {counted(len(table), 'row')}; expected a key and at least one more column"
        )
    keys = table.iloc[:, 0].astype(str)
    twice = keys[keys.duplicated()]
    if len(twice):
        raise InputError(f"{file}: key '{twice.iloc[0]}' occurs {int((keys == twice.iloc[0]).sum())} times; expected each row once")
    return table.iloc[:, 1:].set_axis(keys.to_numpy(), axis=0).rename_axis(index="key").rename(columns=str)
