"""Tables as matrices: counts of n-grams, shapes of texts, codes of categories, and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import CompatibilityError
from .column_types import ColumnTypes, Levels, numbers, words

SYMBOLS = "!?@%$*&#^.: /;-="
SHAPE_NAMES = (
    *("characters", "words", "share of capitals", "share of small letters", "share of digits"),
    *(f"count of '{symbol}'" for symbol in SYMBOLS),
    *(f"share of '{symbol}'" for symbol in SYMBOLS),
)
ROWS_AT_ONCE = 4096


class NgramCounts(NamedTuple):
    """n-grams of up to `longest` words that occur in at least `min_rows` texts, the `most` frequent ones.

    In tables of under 20 * min_rows rows the limit is a twentieth of the rows, and at least 2.
    """

    longest: int = 3
    min_rows: int = 30
    most: int = 300

    def needed(self, rows: int) -> int:
        """Texts that an n-gram must occur in."""
        return max(min(self.min_rows, rows // 20), min(2, rows))


def text_shapes(texts: Sequence[str]) -> NDArray[np.float32]:
    """(rows, 37): characters, words, and the counts and shares that `SHAPE_NAMES` lists. Shares are of the characters, 0 of no text.

    Source: the special text features of AutoGluon, as arXiv 2111.02705 uses them.

    >>> dict(zip(SHAPE_NAMES, text_shapes(["Why not?"])[0].tolist()))["share of '?'"]
    0.125
    """
    found = np.empty((len(texts), len(SHAPE_NAMES)), np.float32)
    for at in range(0, len(texts), ROWS_AT_ONCE):
        found[at : at + ROWS_AT_ONCE] = _shapes(texts[at : at + ROWS_AT_ONCE])
    return found


def _shapes(texts: Sequence[str]) -> NDArray[np.float64]:
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    # one long array of characters: everything below is counted over it at once
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    row = np.repeat(np.arange(len(texts)), lengths)
    characters = codes.view("<U1")

    def count(where: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(row[where], minlength=len(texts)).astype(np.float64)

    blank = np.char.isspace(characters)
    first = np.ones(len(codes), bool)
    first[1:] = row[1:] != row[:-1]
    starts = ~blank
    starts[1:] &= blank[:-1] | first[1:]
    kinds = [count(np.char.isupper(characters)), count(np.char.islower(characters)), count(np.char.isdigit(characters))]
    symbols = [count(codes == ord(symbol)) for symbol in SYMBOLS]
    whole = np.maximum(lengths, 1)
    return np.column_stack([lengths, count(starts), *(k / whole for k in kinds), *symbols, *(s / whole for s in symbols)])


NGRAMS = NgramCounts()


class TreeFeatures:
    """Dense float32 features for trees: numbers with NaN for missing, codes of categories, and of each text its shape and n-gram counts."""

    def __init__(self, types: ColumnTypes, ngrams: NgramCounts | None = NGRAMS) -> None:
        """ngrams: None leaves text out."""
        self.types, self.ngrams = types, ngrams

    def fit(self, table: pd.DataFrame) -> TreeFeatures:
        """Learn categories and n-grams."""
        self.levels = [Levels(table[name]) for name in self.types.categorical]
        self.counters = [] if self.ngrams is None else [_counter(words(table, name), self.ngrams) for name in self.types.text]
        self.width = self.transform(table.iloc[:1]).shape[1]
        if not self.width:
            raise CompatibilityError("trees without text: the table has text columns only; leave this member out")
        return self

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(features,): which are codes of categories."""
        first = len(self.types.numeric)
        places = np.arange(self.width)
        return (places >= first) & (places < first + len(self.levels))

    def transform(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """(rows, features)."""
        parts: list[Any] = [numbers(table, self.types.numeric)]
        for name, levels in zip(self.types.categorical, self.levels, strict=True):
            codes = levels.codes(table[name]).astype(np.float64)
            codes[codes == 0] = np.nan
            parts.append(codes[:, None])
        for name, counter in zip(self.types.text if self.ngrams else (), self.counters, strict=True):
            texts = words(table, name)
            parts.append(text_shapes(texts))
            if counter is not None:
                parts.append(counter.transform(texts).toarray())
        return np.hstack([part.astype(np.float32) for part in parts])


def _counter(texts: Sequence[str], ngrams: NgramCounts) -> Any:
    """A fitted CountVectorizer, or None where no n-gram is frequent enough."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(ngram_range=(1, ngrams.longest), min_df=ngrams.needed(len(texts)), max_features=ngrams.most, dtype=np.float32)
    return _fitted(counter, texts)


def _fitted(vectorizer: Any, texts: Sequence[str]) -> Any:
    try:
        return vectorizer.fit(texts)
    except ValueError:  # nothing is left, which is no error in a table with other columns
        return None


class LinearFeatures:
    """Sparse features for linear models: TF-IDF of words and pairs, flags of categories, standardised numbers and flags of gaps."""

    def __init__(self, types: ColumnTypes, most: int = 10_000) -> None:
        self.types, self.most = types, most

    def fit(self, table: pd.DataFrame) -> LinearFeatures:
        """Learn words, categories, means and spreads."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        least = 2 if len(table) >= 40 else 1
        self.levels = [Levels(table[name]) for name in self.types.categorical]
        self.vectorizers = [
            _fitted(TfidfVectorizer(ngram_range=(1, 2), min_df=least, max_features=self.most, sublinear_tf=True), words(table, name))
            for name in self.types.text
        ]
        self.scale = Standard(numbers(table, self.types.numeric))
        return self

    def transform(self, table: pd.DataFrame) -> Any:
        """(rows, features), a CSR array."""
        from scipy.sparse import csr_array, hstack

        parts: list[Any] = [csr_array(self.scale(numbers(table, self.types.numeric)))]
        rows = np.arange(len(table))
        for name, levels in zip(self.types.categorical, self.levels, strict=True):
            codes = levels.codes(table[name])
            parts.append(csr_array((np.ones(len(table)), (rows, codes)), shape=(len(table), len(levels) + 1)))
        for name, vectorizer in zip(self.types.text, self.vectorizers, strict=True):
            if vectorizer is not None:
                parts.append(csr_array(vectorizer.transform(words(table, name))))
        return csr_array(hstack(parts))


class Standard:
    """Numbers less their mean, over their spread, 0 where missing; then a flag for each column that has missing values."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        there = ~np.isnan(values)
        count = np.maximum(there.sum(axis=0), 1)
        self.mean = np.where(there, values, 0).sum(axis=0) / count
        spread = np.sqrt(np.where(there, (values - self.mean) ** 2, 0).sum(axis=0) / count)
        self.spread = np.where(spread > 1e-12 * np.maximum(np.abs(self.mean), 1e-300), spread, 1.0)
        self.gaps = np.flatnonzero(~there.all(axis=0))

    @property
    def width(self) -> int:
        """Columns that come out."""
        return len(self.mean) + len(self.gaps)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, width), values within 10 spreads of the mean."""
        missing = np.isnan(values)
        scaled = np.clip(np.where(missing, 0.0, (np.where(missing, 0.0, values) - self.mean) / self.spread), -10, 10)
        return np.hstack([scaled, missing[:, self.gaps].astype(np.float64)])
