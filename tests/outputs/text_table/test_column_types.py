import numpy as np
import pandas as pd
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.text_table.column_types import Levels, as_table, column_types, numbers, words


def kinds(**columns):
    found = column_types(pd.DataFrame(columns))
    return {name: kind for kind in ("numeric", "categorical", "text") for name in getattr(found, kind)}


def test_each_kind_is_told_from_the_values():
    sentences = ["the first of many", "not bad at all", "works very well", None]
    found = kinds(
        whole=[1, 2, 3, 4],
        gaps=[1.0, None, 3.0, np.nan],
        flag=[True, False, True, True],
        when=pd.to_datetime(["2020-01-01", None, "2021-01-01", "2022-01-01"]),
        printed=["1", "2.5", None, "-3e2"],
        mixed=[1, "2", None, 3.5],
        shop=["a", "b", "a", None],
        code=pd.Categorical([1, 2, 1, 2]),
        said=sentences,
        empty=[None] * 4,
    )
    numeric = dict.fromkeys(["whole", "gaps", "flag", "when", "printed", "mixed"], "numeric")
    assert found == {**numeric, "shop": "categorical", "code": "categorical", "said": "text"}


def test_long_values_that_repeat_are_categories():
    assert kinds(a=["one two three four", "five six seven eight"] * 20) == {"a": "categorical"}
    # over a tenth of the values differ, two words each
    assert kinds(a=[f"word{k} again" for k in range(20)]) == {"a": "categorical"}
    # exactly a tenth differ: not more than a tenth
    assert kinds(a=[f"one two three {k % 4}" for k in range(40)]) == {"a": "categorical"}
    assert kinds(a=[f"one two three {k % 5}" for k in range(40)]) == {"a": "text"}


def test_a_given_kind_wins():
    table = pd.DataFrame({"zip": [10115, 20095], "note": ["a", "b"], 7: [1.0, 2.0]})
    found = column_types(as_table(table), {"zip": "categorical", "note": "text", 7: "drop"})
    assert (found.numeric, found.categorical, found.text) == ((), ("zip",), ("note",))


@pytest.mark.parametrize(
    ("given", "message"),
    [({"zap": "text"}, "unknown column 'zap'"), ({"zip": "texts"}, "did you mean 'text'"), ({"zip": "drop"}, "no column")],
)
def test_what_cannot_be_is_said(given, message):
    with pytest.raises((ParameterError, CompatibilityError), match=message):
        column_types(pd.DataFrame({"zip": [1, 2]}), given)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": [1.0, np.inf]}), "'a' is infinite in row 1"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a' occurs twice"),
        (pd.DataFrame({"a": []}), "at least one row"),
        (np.empty((3, 0)), "at least one row and one column"),
    ],
)
def test_tables_that_do_not_do(table, message):
    with pytest.raises(CompatibilityError, match=message):
        as_table(table)


def test_numbers_of_all_sorts():
    table = pd.DataFrame(
        {"a": ["1", "x", None], "b": [True, False, True], "c": pd.to_datetime(["1970-01-02 00:00:00", None, "1970-01-01 00:00:01"])}
    )
    table["d"] = pd.array([1, None, 3], dtype="Int64")
    table["e"] = pd.to_datetime(["1970-01-02", None, "1970-01-01"]).tz_localize("UTC")
    table["f"] = pd.to_timedelta(["1s", None, "2min"])
    expected = [[1, 1, 86400, 1, 86400, 1], [np.nan, 0, np.nan, np.nan, np.nan, np.nan], [np.nan, 1, 1, 3, 0, 120]]
    np.testing.assert_array_equal(numbers(table, list(table.columns)), expected)


def test_words_of_all_sorts():
    assert words(pd.DataFrame({"a": ["x", None, 3]}), "a") == ["x", "", "3"]
    assert words(pd.DataFrame({"a": pd.Categorical(["x", None, "y"])}), "a") == ["x", "", "y"]


def test_levels_are_ranked_and_the_rest_is_zero():
    levels = Levels(pd.Series(["b", "a", "b", "c", None, "c", "b"]), limit=2)
    assert levels.codes(pd.Series(["a", "b", "c", None, "new"])).tolist() == [0, 1, 2, 0, 0]
    assert len(levels) == 2
    # of equals the first in the alphabet, whatever the order of rows
    assert Levels(pd.Series(["z", "y"])).codes(pd.Series(["y", "z"])).tolist() == [1, 2]
    assert Levels(pd.Series([2, 1, 2])).codes(pd.Series([1, 2])).tolist() == [2, 1]
