"""Folders of predictions: CSV and Parquet, keys, columns, and what is wrong with them in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelweave.errors import InputError
from modelweave.outputs.predictions.files import read_members, read_targets


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_tables_by_key(tmp_path: Path) -> None:
    write(tmp_path / "p", a="id,no,yes\n01,0.2,0.8\n02,0.7,0.3\n", b="id,prediction\n02,1.5\n01,2\n")
    pd.DataFrame({"key": ["01", "02"], "prediction": [1.0, 2.0]}).to_parquet(tmp_path / "p" / "c.parquet")
    pd.DataFrame({"prediction": [1.0, 2.0]}, index=pd.Index(["01", "02"], name="id")).to_parquet(tmp_path / "p" / "d.parquet")
    (tmp_path / "p" / "notes.txt").write_text("not a member")
    found = read_members(tmp_path / "p")
    assert list(found) == ["a", "b", "c", "d"]
    assert list(found["a"].columns) == ["no", "yes"] and list(found["a"].index) == ["01", "02"], "keys are words: 01 stays 01"
    assert found["b"].loc["02"] == 1.5
    assert found["c"].tolist() == found["d"].tolist() == [1.0, 2.0] and list(found["d"].index) == ["01", "02"]


def test_targets_come_in_the_order_of_time(tmp_path: Path) -> None:
    file = tmp_path / "y.csv"
    file.write_text("key,target,group,time,site\nr0,a,g,2024-03-01,x\nr1,b,g,2024-01-01,y\n")
    found = read_targets(file)
    assert found.values.tolist() == ["b", "a"] and list(found.values.index) == ["r1", "r0"]
    assert found.columns["site"].tolist() == ["y", "x"] and found.columns["time"][0] == np.datetime64("2024-01-01")
    assert found.notes == ("the rows of the targets were not in the order of time; they are now",)
    file.write_text("key,target\nr0,1.5\n")
    assert read_targets(file).notes == () and read_targets(file).columns == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: read_members(p / "none"), "none: expected a folder with one CSV or Parquet file a member, found nothing"),
        (lambda p: read_members(write(p / "empty")), "empty: has no file that ends in .csv or .parquet"),
        (
            lambda p: read_members(write(p / "q", a="key,score\nr,1\n")),
            "a.csv: has the one column 'score' after the key; expected 'prediction'",
        ),
        (lambda p: read_members(write(p / "q", a="key,x,y\nr,0.1,high\n")), "a.csv: column 'y' is not all numbers"),
        (lambda p: read_members(write(p / "q", a="key,prediction\nr,1\nr,2\n")), "a.csv: key 'r' occurs 2 times; expected each row once"),
        (lambda p: read_members(write(p / "q", a="key\nr\n")), "a.csv: has 1 column and 1 row; expected a key and at least one more"),
        (lambda p: read_members(write(p / "q", a="")), "a.csv: cannot be read as a table"),
        (lambda p: read_members(write(p / "q", a="key,x\nr,1\ns,1,2,3\n")), "a.csv: cannot be read as a table"),
        (lambda p: read_targets(p / "y.csv"), "y.csv: expected a CSV or Parquet file, found nothing"),
        (lambda p: read_targets(write(p, y="key,label\nr,1\n") / "y.csv"), "y.csv: has no column 'target'; expected key,target"),
        (
            lambda p: read_targets(write(p, y="key,target\nr,1\ns,\n") / "y.csv"),
            "y.csv: key 's' has no target; fill it in or leave out the row",
        ),
        (
            lambda p: read_targets(write(p, y="key,target,time\nr,1,soon\n") / "y.csv"),
            "column 'time' is neither numbers nor dates, as in 'soon'",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(tmp_path)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_a_parquet_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="a.parquet: cannot be read as a table"):
        read_members(tmp_path)
