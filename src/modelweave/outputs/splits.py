"""Which rows may learn for which: one split object, used wherever something is fitted on folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import CompatibilityError, ParameterError

Rows = NDArray[np.intp]


class Fold(NamedTuple):
    """Row numbers to fit on and, apart from them, to predict. `repeat` counts the rounds over all rows."""

    repeat: int
    train: Rows
    test: Rows


@dataclass(frozen=True)
class Split:
    """Folds that keep groups whole and never look ahead in time.

    Without time, each row is in the test part of one fold a repeat; classes are spread evenly. With time, a fold learns from what
    lies before its test rows, so that the first block of rows is never tested; rows of one moment stay together. With both, rows
    of a group that is tested do not learn.

    It has the methods of a scikit-learn splitter, too.

    Args:
        folds: at least 2.
        repeats: rounds with other draws, 1 with time.
        seed: of the draws.
        gap: with time, so many moments before the test rows are left out.

    Raises:
        ParameterError: for a value out of range.

    >>> [fold.test.tolist() for fold in Split(folds=2).over([0, 0, 1, 1], time=[1, 2, 2, 3])]
    [[1, 2], [3]]
    """

    folds: int = 5
    repeats: int = 1
    seed: int = 0
    gap: int = 0

    def __post_init__(self) -> None:
        for name, least in (("folds", 2), ("repeats", 1), ("gap", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ParameterError(f"split: {name} must be a whole number of at least {least}, got {value!r}")

    def over(
        self, y: ArrayLike, *, groups: ArrayLike | None = None, time: ArrayLike | None = None, classes: bool | None = None
    ) -> list[Fold]:
        """The folds of rows with these targets.

        Args:
            y: (rows,) labels or numbers.
            groups: (rows,) rows of one group are never on both sides of a fold.
            time: (rows,) a fold learns only from what lies before its test rows.
            classes: whether y are labels to spread evenly; words, flags and codes are.

        Raises:
            CompatibilityError: when there are fewer rows, groups or moments than folds.
        """
        targets = np.asarray(y)
        rows = len(targets)
        group_codes = None if groups is None else _codes("groups", groups, rows)
        if time is not None:
            return self._forward(_codes("time", time, rows), group_codes)
        if classes is None:
            classes = targets.ndim == 1 and targets.dtype.kind not in "fc"
        units = rows if group_codes is None else int(group_codes.max()) + 1
        if units < self.folds:
            kind = "rows" if group_codes is None else "groups"
            raise CompatibilityError(f"split: {self.folds} folds need at least as many {kind}, got {units}; ask for fewer folds")
        found = []
        for repeat in range(self.repeats):
            assigned = self._assign(targets if classes else None, rows, group_codes, self.seed + repeat)
            for fold in range(self.folds):
                inside = assigned == fold
                found.append(Fold(repeat, np.flatnonzero(~inside), np.flatnonzero(inside)))
        return found

    def _assign(self, labels: NDArray[Any] | None, rows: int, groups: NDArray[np.intp] | None, seed: int) -> NDArray[np.intp]:
        """The fold of each row."""
        random = np.random.default_rng(seed)
        codes = np.zeros(rows, np.intp) if labels is None else np.unique(labels, return_inverse=True)[1].reshape(rows)
        if groups is None:
            # rows in random order within their class, dealt out one by one over the folds
            order = random.permutation(rows)
            order = order[np.argsort(codes[order], kind="stable")]
            assigned = np.empty(rows, np.intp)
            assigned[order] = np.arange(rows) % self.folds
            return assigned
        table = np.zeros((int(groups.max()) + 1, int(codes.max()) + 1))
        np.add.at(table, (groups, codes), 1)
        return _deal(table, self.folds, random)[groups]

    def _forward(self, moments: NDArray[np.intp], groups: NDArray[np.intp] | None) -> list[Fold]:
        if self.repeats > 1:
            raise ParameterError("split: repeats must be 1 with time, since there is one way to look only back")
        counts = np.bincount(moments)
        if len(counts) < self.folds + 1:
            raise CompatibilityError(
                f"split: {self.folds} folds in time order need at least {self.folds + 1} different moments, "
                f"got {len(counts)}; ask for fewer folds"
            )
        # blocks of about the same number of rows, each of at least one moment
        middle = (np.cumsum(counts) - counts / 2) / len(moments)
        places = np.arange(len(counts))
        block = np.minimum((middle * (self.folds + 1)).astype(np.intp), places)
        block = np.minimum.accumulate(block - places) + places
        block = np.maximum(block, self.folds - places[::-1])
        found = []
        for k in range(1, self.folds + 1):
            first = int(np.flatnonzero(block == k)[0])
            test = np.flatnonzero(block[moments] == k)
            learns = moments < first - self.gap
            if groups is not None:
                learns &= ~np.isin(groups, groups[test])
            train = np.flatnonzero(learns)
            if not len(train):
                raise CompatibilityError(f"split: fold {k} has no row to learn from before its time; lower gap or ask for fewer folds")
            found.append(Fold(0, train, test))
        return found

    def holdout(self, y: ArrayLike, *, groups: ArrayLike | None = None, time: ArrayLike | None = None, classes: bool | None = None) -> Fold:
        """One fold by the same rules: the last in time, or one of `folds` random parts.

        Args:
            y: (rows,) labels or numbers.
            groups: (rows,) rows of one group are never on both sides.
            time: (rows,) it learns only from what lies before its test rows.
            classes: whether y are labels to spread evenly; words, flags and codes are.
        """
        return Split(self.folds, 1, self.seed, self.gap).over(y, groups=groups, time=time, classes=classes)[-1]

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """The folds as pairs, for scikit-learn.

        Args:
            X: rows, of which only the number counts.
            y: (rows,) labels or numbers.
            groups: (rows,) rows of one group are never on both sides of a fold.
        """
        for fold in self.over(np.zeros(len(X)) if y is None else y, groups=groups):
            yield fold.train, fold.test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of folds, for scikit-learn.

        Args:
            X: not looked at.
            y: not looked at.
            groups: not looked at.
        """
        return self.folds * self.repeats


def _codes(name: str, values: ArrayLike, rows: int) -> NDArray[np.intp]:
    given = np.asarray(values)
    if given.shape != (rows,):
        raise CompatibilityError(f"{name}: expected one value for each of {rows} rows, got shape {given.shape}")
    if given.dtype.kind == "f" and np.isnan(given).any():
        raise CompatibilityError(f"{name}: row {int(np.flatnonzero(np.isnan(given))[0])} is NaN; give every row a value")
    return np.unique(given, return_inverse=True)[1].reshape(rows)


def _deal(table: NDArray[np.float64], folds: int, random: np.random.Generator) -> NDArray[np.intp]:
    """The fold of each group. table: (groups, classes) rows. Large groups first, each to where it keeps the classes most even."""
    order = random.permutation(len(table))
    order = order[np.argsort(-table[order].sum(axis=1), kind="stable")]
    shares = table.sum(axis=0)
    filled = np.zeros((folds, table.shape[1]))
    chosen = np.empty(len(table), np.intp)
    for place, group in enumerate(order):
        empty = folds - np.count_nonzero(filled.sum(axis=1))
        spread = np.empty(folds)
        for fold in range(folds):
            filled[fold] += table[group]
            spread[fold] = (filled / shares).std(axis=0).mean()
            filled[fold] -= table[group]
        if len(table) - place <= empty:
            spread[filled.sum(axis=1) > 0] = np.inf
        # of equals the emptiest fold
        best = np.lexsort((filled.sum(axis=1), spread.round(12)))[0]
        chosen[group] = best
        filled[best] += table[group]
    return chosen


def check_sorted(time: Sequence[Any] | NDArray[Any]) -> None:
    """Raise CompatibilityError where a row lies before the one above it."""
    moments = np.asarray(time)
    back = np.flatnonzero(moments[1:] < moments[:-1])
    if len(back):
        row = int(back[0]) + 1
        raise CompatibilityError(
            f"time: row {row} ({moments[row]}) lies before row {row - 1} ({moments[row - 1]}); "
            "expected rows in the order of time, sort targets and all members by it"
        )
