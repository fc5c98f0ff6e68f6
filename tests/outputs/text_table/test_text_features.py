import numpy as np
import pandas as pd
import pytest

from modelweave.errors import CompatibilityError
from modelweave.outputs.text_table import text_features
from modelweave.outputs.text_table.column_types import ColumnTypes, column_types
from modelweave.outputs.text_table.text_features import (
    SHAPE_NAMES,
    SYMBOLS,
    LinearFeatures,
    NgramCounts,
    Standard,
    TreeFeatures,
    text_shapes,
)

from .made import made


def slowly(text):
    n = max(len(text), 1)
    kinds = [sum(map(kind, text)) / n for kind in (str.isupper, str.islower, str.isdigit)]
    counts = [text.count(symbol) for symbol in SYMBOLS]
    return [len(text), len(text.split()), *kinds, *counts, *(count / n for count in counts)]


TEXTS = ["Why not?", "", "  two  words ", "A1 b2!! 50% off; x=3/4 #tag @me $5 a*b a&b ^ c: d.", "Ünïcödé ÄÖ ß 漢字 😀", "\ttab\nline"]


def test_shapes_agree_with_python_strings(monkeypatch):
    monkeypatch.setattr(text_features, "ROWS_AT_ONCE", 2)
    np.testing.assert_allclose(text_shapes(TEXTS), [slowly(text) for text in TEXTS], rtol=1e-6)
    assert len(SHAPE_NAMES) == 37


def test_tree_features_by_hand():
    table = pd.DataFrame({"n": [1.5, None], "c": ["a", None], "t": ["red red blue", "Red"]})
    features = TreeFeatures(ColumnTypes(("n",), ("c",), ("t",)), NgramCounts(longest=2, min_rows=1)).fit(table)
    found = features.transform(pd.DataFrame({"n": [2.0, None], "c": ["new", "a"], "t": ["red red", None]}))
    np.testing.assert_array_equal(found[:, :2], [[2, np.nan], [np.nan, 1]])
    # 'red' is in both texts; blue, red blue and red red in one: fewer than the least of two rows
    np.testing.assert_array_equal(found[:, 39:], [[2], [0]])
    assert features.categorical.tolist() == [False, True] + [False] * 38
    assert found.dtype == np.float32


@pytest.mark.parametrize(("rows", "least"), [(1, 1), (2, 2), (39, 2), (200, 10), (600, 30), (100_000, 30)])
def test_ngrams_are_asked_less_of_in_small_tables(rows, least):
    assert NgramCounts().needed(rows) == least


def test_trees_without_text_need_other_columns():
    with pytest.raises(CompatibilityError, match="text columns only"):
        TreeFeatures(ColumnTypes(text=("t",)), None).fit(pd.DataFrame({"t": ["a b c"]}))


def test_texts_without_words_give_no_ngrams():
    table = pd.DataFrame({"t": ["!", "", None]})
    assert TreeFeatures(ColumnTypes(text=("t",))).fit(table).transform(table).shape == (3, 37)
    assert LinearFeatures(ColumnTypes(text=("t",))).fit(table).transform(table).shape == (3, 0)


def test_standard_numbers_by_hand():
    scale = Standard(np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.nan], [np.nan, 5.0, np.nan]]))
    found = scale(np.array([[1.0, 5.0, 2.0], [np.nan, np.nan, np.nan], [1e9, 6.0, 0.0]]))
    np.testing.assert_array_equal(found, [[-1, 0, 2, 0, 0], [0, 0, 0, 1, 1], [10, 1, 0, 0, 0]])


def test_linear_features_agree_with_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    table, _ = made()
    types = column_types(table)
    found = LinearFeatures(types).fit(table).transform(table).toarray()
    size = table["size"]
    np.testing.assert_allclose(found[:, 0], ((size - size.mean()) / size.std(ddof=0)).fillna(0))
    np.testing.assert_array_equal(found[:, 1], size.isna())
    order = table["shop"].value_counts().index.tolist()
    np.testing.assert_array_equal(
        found[:, 2:5], np.column_stack([table["shop"].isna(), table["shop"] == order[0], table["shop"] == order[1]])
    )
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(table["said"].fillna(""))
    np.testing.assert_allclose(found[:, 5:], tfidf.toarray())
