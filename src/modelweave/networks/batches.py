"""Batches: whatever a user has as data, read pass after pass in an order that depends on a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate

from ..errors import CompatibilityError, ParameterError
from .nested import digest, mapped, tensors_of
from .seeds import Generator, random_state, restore_random_state

Rows = Any
"""Numbers of rows: a slice, or a tensor of whole numbers."""


class Batches:
    """Data in batches, to be read as often as wanted.

    Args:
        data: one of
            a tensor or array, a tuple of them (`X, y`), or a dictionary of columns, all with as many rows: a batch is the same structure;
            a list of rows, a Hugging Face dataset or any other data set with `len` and rows by number: a batch is collated from rows;
            a torch DataLoader, or another iterable that can be read again: it makes the batches itself;
            a function without arguments that returns a fresh iterator over batches;
            an iterator: it serves one pass, and a second one is refused.
        size: rows in a batch, by default 32; only for data that is known by row.
        shuffle: False; True: pass k has the k-th order that a generator with this seed draws; or the generator (torch's or numpy's)
            from which each pass draws its order.
        seed: of the orders.
        drop_last: whether an incomplete last batch is left out, unless it is the only one.
        collate: makes a batch of a list of rows; by default torch's `default_collate`.

    Raises:
        CompatibilityError: for data that is none of these or whose columns differ in length.
        ParameterError: for options that do not fit.

    >>> batches = Batches((torch.arange(5), torch.arange(5) % 2), size=2)
    >>> [y.tolist() for _, y in batches]
    [[0, 1], [0, 1], [0]]
    >>> len(batches), batches.rows
    (3, 5)
    """

    def __init__(
        self,
        data: Any,
        *,
        size: int | None = None,
        shuffle: bool | Generator = False,
        seed: int = 0,
        drop_last: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if size is not None and size < 1:
            raise ParameterError(f"batches: size must be at least 1, got {size}")
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self._data = data
        found = _by_row(data, collate)
        self.rows: int | None = None if found is None else found[0]
        self._take = None if found is None else found[1]
        self.size = (size or 32) if found is not None else 0
        if found is None:
            if size is not None or shuffle is not False or drop_last or collate is not None:
                raise ParameterError(
                    f"batches: {type(data).__name__} makes its own batches; leave out size, shuffle, drop_last and collate"
                )
            if not callable(data) and not isinstance(data, Iterable):
                kinds = "arrays, columns, rows, a DataLoader, a function or an iterable"
                raise CompatibilityError(f"batches: cannot read {type(data).__name__}, expected {kinds}")
        elif not found[0]:
            raise CompatibilityError("batches: the data has no rows, expected one at least")
        self._passes = 0
        self._spent = False
        self._drawn: tuple[int, torch.Generator] | None = None

    @staticmethod
    def drawn(draw: Callable[[], Any], count: int | None = None, *, generators: Sequence[Generator] = ()) -> Batches:
        """Batches that a function draws, one a call.

        Args:
            draw: returns a batch; a later call draws another.
            count: batches in a pass; None: without an end.
            generators: those that it draws from, besides the global ones; a training run that is resumed puts them back.

        >>> numbers = iter(range(9))
        >>> list(Batches.drawn(lambda: next(numbers), 3))
        [0, 1, 2]
        """
        return _Drawn(draw, count, generators)

    @property
    def count(self) -> int | None:
        """The number of batches in a pass, None where it is not known."""
        if self.rows is not None:
            whole = self.rows // self.size
            return max(whole, 1) if self.drop_last else -(-self.rows // self.size)
        try:
            return len(self._data)
        except TypeError:
            return None

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("the number of batches is not known")
        return self.count

    @property
    def generators(self) -> tuple[Generator, ...]:
        """The generators that orders are drawn from, besides the global ones."""
        return () if isinstance(self.shuffle, bool) else (self.shuffle,)

    def __iter__(self) -> Iterator[Any]:
        """The next pass."""
        self._passes += 1
        return self.epoch(self._passes - 1)

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]:
        """Pass `number`, from its batch `start` on. Its order is drawn now, not when the first batch is read.

        Args:
            number: of the pass, from 0.
            start: of the first batch, from 0.

        Raises:
            CompatibilityError: where the data can be read once and was read.
        """
        if self._take is not None:
            return self._numbered(self._order(number), self._take, start)
        if isinstance(self._data, Iterator):
            if self._spent or number:
                kind = type(self._data).__name__
                raise CompatibilityError(
                    f"batches: a {kind} can be read once, expected data for several passes; give a function that makes it"
                )
            self._spent = True
            return _skipped(self._data, start)
        if isinstance(self._data, DataLoader) and hasattr(self._data.sampler, "set_epoch"):
            self._data.sampler.set_epoch(number)
        return _skipped(iter(self._data() if callable(self._data) else self._data), start)

    def in_order(self) -> Batches:
        """The same data, whole and in its own order. Of data that makes its own batches: itself."""
        if self._take is None or (self.shuffle is False and not self.drop_last):
            return self
        other: Batches = object.__new__(Batches)
        other.__dict__.update(self.__dict__, shuffle=False, drop_last=False)
        return other

    def hash(self) -> str | None:
        """The sha256 of the content, whatever the order and the size of batches; None where the batches are drawn anew.

        Data that makes its own batches is read once for it.
        """
        if self._take is None:
            if isinstance(self._data, Iterator):
                return None
            state = random_state()
            try:
                return _hash_of(self.epoch(0))
            finally:
                restore_random_state(state)
        return _hash_of(self._take(slice(at, at + 1024)) for at in range(0, self.rows or 0, 1024))

    def _order(self, number: int) -> Rows | None:
        rows = self.rows or 0
        if isinstance(self.shuffle, np.random.Generator):
            return torch.from_numpy(self.shuffle.permutation(rows))
        if isinstance(self.shuffle, torch.Generator):
            return torch.randperm(rows, generator=self.shuffle)
        if not self.shuffle:
            return None
        drawn, generator = self._drawn or (0, torch.Generator().manual_seed(self.seed))
        if drawn > number:
            drawn, generator = 0, torch.Generator().manual_seed(self.seed)
        for _ in range(number - drawn):
            torch.randperm(rows, generator=generator)
        self._drawn = number + 1, generator
        return torch.randperm(rows, generator=generator)

    def _numbered(self, order: Rows | None, take: Callable[[Rows], Any], start: int) -> Iterator[Any]:
        for place in range(start, len(self)):
            part = slice(place * self.size, (place + 1) * self.size)
            yield take(part if order is None else order[part])


class _Drawn(Batches):
    """Batches that come from a function, one a call."""

    def __init__(self, draw: Callable[[], Any], count: int | None, generators: Sequence[Generator]) -> None:
        super().__init__(draw)
        self._draw, self._count, self._generators = draw, count, tuple(generators)

    @property
    def count(self) -> int | None:
        return self._count

    @property
    def generators(self) -> tuple[Generator, ...]:
        return self._generators

    def epoch(self, number: int, start: int = 0) -> Iterator[Any]:
        return (self._draw() for _ in (count() if self._count is None else range(start, self._count)))

    def hash(self) -> str | None:
        return None


def as_batches(data: Any) -> Batches:
    """Batches as they are; other data in batches of 32."""
    return data if isinstance(data, Batches) else Batches(data)


def _skipped(batches: Iterator[Any], start: int) -> Iterator[Any]:
    next(islice(batches, start, start), None)
    return batches


def _hash_of(parts: Iterable[Any]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        digest(part, whole)
    return whole.hexdigest()


def _by_row(data: Any, collate: Callable[[list[Any]], Any] | None) -> tuple[int, Callable[[Rows], Any]] | None:
    """The number of rows and how to take some, for data that is known by row."""
    if isinstance(data, DataLoader) or callable(data) or isinstance(data, Iterator):
        return None
    if isinstance(data, (torch.Tensor, np.ndarray, tuple, Mapping)) and collate is None:
        columns = tensors_of(dict(data) if isinstance(data, Mapping) else data, "batches")
        return _rows_of(columns), lambda rows: _taken(columns, rows)
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        return None
    if hasattr(data, "column_names") and collate is None:
        return len(data), lambda rows: {name: _stacked(column) for name, column in data[_numbers(rows, len(data))].items()}
    join = collate or default_collate
    return len(data), lambda rows: join([data[i] for i in _numbers(rows, len(data))])


def _numbers(rows: Rows, count: int) -> list[int]:
    return list(range(*rows.indices(count))) if isinstance(rows, slice) else [int(i) for i in rows]


def _stacked(column: Any) -> Any:
    """A column of a Hugging Face dataset: numbers as a tensor, all else as it is."""
    if isinstance(column, list) and column and isinstance(column[0], (int, float, list)):
        try:
            return torch.tensor(column)
        except (ValueError, TypeError):  # rows of different lengths, or texts
            return column
    return tensors_of(column, "batches")


def _taken(columns: Any, rows: Rows) -> Any:
    if isinstance(columns, list):
        return [columns[i] for i in _numbers(rows, len(columns))]
    if isinstance(columns, Mapping):
        return {name: _taken(column, rows) for name, column in columns.items()}
    if isinstance(columns, tuple):
        return tuple(_taken(column, rows) for column in columns)
    return mapped(columns, lambda tensor: tensor[rows])


def _rows_of(columns: Any) -> int:
    """The number of rows that all columns have."""
    found: dict[str, int] = {}

    def look(value: Any, where: str) -> None:
        if isinstance(value, (Mapping, tuple)):
            for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
                look(part, f"{where}[{key!r}]")
        elif isinstance(value, list) or (isinstance(value, torch.Tensor) and value.ndim):
            found[where] = len(value)
        else:
            raise CompatibilityError(f"{where}: a {type(value).__name__} without rows, expected a column; give a tensor, array or list")

    look(columns, "batches")
    if len(set(found.values())) > 1:
        told = ", ".join(f"{where} has {rows}" for where, rows in found.items())
        raise CompatibilityError(f"{told} rows, expected as many in each; cut them to one length")
    return next(iter(found.values()), 0)
