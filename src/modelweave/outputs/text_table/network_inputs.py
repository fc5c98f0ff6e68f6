"""Rows of a table as the tensors a network reads: token numbers, standardised numbers, category numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ...checkpoints.open import open_checkpoint
from ...errors import CheckpointError
from .column_types import ColumnTypes, Levels, numbers, words
from .text_features import Standard

if TYPE_CHECKING:
    from torch import Tensor

Fusion = Literal["late", "early", "all_text"]
PAD, UNKNOWN, CLS, SEP = range(4)
_TOKEN = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")


@dataclass(frozen=True)
class Inputs:
    """tokens: (rows, length) numbers, filled up with `pad`; mask: which are real. numbers: (rows, columns). codes: (rows, columns)."""

    tokens: Tensor
    mask: Tensor
    numbers: Tensor
    codes: Tensor

    def take(self, rows: Any) -> Inputs:
        """Some rows, their tokens cut to the longest of them."""
        mask = self.mask[rows]
        longest = max(int(mask.sum(dim=1).max()), 1)
        return Inputs(self.tokens[rows][:, :longest], mask[:, :longest], self.numbers[rows], self.codes[rows])

    def __len__(self) -> int:
        return len(self.tokens)


class Words:
    """A vocabulary of the words of the training rows; digits are tokens of their own."""

    def __init__(self, texts: Sequence[Sequence[str]], *, most: int = 20_000, least: int = 2) -> None:
        counts = Counter(chain.from_iterable(_split(text) for column in texts for text in column))
        order = sorted((word for word, count in counts.items() if count >= least), key=lambda word: (-counts[word], word))[:most]
        self.numbers = {word: number for number, word in enumerate(order, SEP + 1)}
        self.pad = PAD

    def __len__(self) -> int:
        return len(self.numbers) + SEP + 1

    def encode(self, texts: Sequence[Sequence[str]], longest: int) -> list[list[int]]:
        """Of each row the start token and the columns' words, with a separator after each column; equal shares when they are too long."""
        share = max((longest - 1) // max(len(texts), 1) - 1, 1)
        rows = []
        for columns in zip(*texts, strict=True):
            row = [CLS]
            for text in columns:
                row += [self.numbers.get(word, UNKNOWN) for word in _split(text)[:share]]
                row.append(SEP)
            rows.append(row[:longest])
        return rows


class FolderTokens:
    """The tokenizer of an encoder's folder."""

    def __init__(self, folder: str | Path) -> None:
        from ...networks.loading import tokenizer_of

        self.tokenizer = tokenizer_of(open_checkpoint(folder, label=f"encoder {folder}"))
        if self.tokenizer is None:
            raise CheckpointError(f"encoder: {folder} holds no tokenizer; give a folder with an encoder and its tokenizer")
        self.pad = self.tokenizer.pad_token_id or 0

    def encode(self, texts: Sequence[Sequence[str]], longest: int) -> list[list[int]]:
        """Of each row the columns' tokens, with the tokenizer's separator between columns."""
        joint = f" {self.tokenizer.sep_token or self.tokenizer.eos_token or ''} "
        whole = [joint.join(columns) for columns in zip(*texts, strict=True)]
        found: list[list[int]] = self.tokenizer(whole, truncation=True, max_length=longest)["input_ids"]
        return found


class InputEncoder:
    """Learns vocabulary, categories and scales from training rows, and turns any rows into `Inputs`."""

    def __init__(self, types: ColumnTypes, *, fusion: Fusion = "late", encoder: str | Path | None = None, longest: int = 128) -> None:
        self.types, self.fusion, self.longest = types, fusion, longest
        self.folder = encoder

    def fit(self, table: pd.DataFrame) -> InputEncoder:
        """Learn from these rows."""
        texts = self._texts(table)
        self.levels = [] if self.fusion == "all_text" else [Levels(table[name]) for name in self.types.categorical]
        self.scale = Standard(numbers(table, self._numeric))
        self.tokens: Any = None
        if texts:
            self.tokens = FolderTokens(self.folder) if self.folder is not None else Words(texts)
        return self

    @property
    def _numeric(self) -> tuple[str, ...]:
        return () if self.fusion == "all_text" else self.types.numeric

    @property
    def level_counts(self) -> tuple[int, ...]:
        """Category numbers of each column, with 0."""
        return tuple(len(levels) + 1 for levels in self.levels)

    def transform(self, table: pd.DataFrame) -> Inputs:
        """The tensors of rows."""
        import torch

        texts = self._texts(table)
        rows = self.tokens.encode(texts, self.longest) if texts else [[CLS]] * len(table)
        tokens, mask = _padded(rows, self.tokens.pad if texts else PAD)
        codes = np.zeros((len(table), len(self.levels)), np.int64)
        for place, (name, levels) in enumerate(zip(self.types.categorical if self.levels else (), self.levels, strict=True)):
            codes[:, place] = levels.codes(table[name])
        scaled = self.scale(numbers(table, self._numeric)).astype(np.float32)
        return Inputs(torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(scaled), torch.from_numpy(codes))

    def _texts(self, table: pd.DataFrame) -> list[list[str]]:
        texts = [words(table, name) for name in self.types.text]
        if self.fusion == "all_text":
            values = numbers(table, self.types.numeric)
            for place, name in enumerate(self.types.numeric):
                texts.append(["" if np.isnan(value) else f"{name} {value:.4g}" for value in values[:, place]])
            for name in self.types.categorical:
                texts.append([f"{name} {word}" if word else "" for word in words(table, name)])
        return texts


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    lengths = np.fromiter(map(len, rows), np.intp, len(rows))
    mask = np.arange(max(int(lengths.max()), 1)) < lengths[:, None]
    tokens = np.full(mask.shape, pad, np.int64)
    tokens[mask] = np.fromiter(_flat(rows), np.int64, int(lengths.sum()))
    return tokens, mask


def _flat(rows: Sequence[Sequence[int]]) -> Iterable[int]:
    return chain.from_iterable(rows)


def _split(text: str) -> list[str]:
    return _TOKEN.findall(text.lower())
