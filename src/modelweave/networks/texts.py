"""Texts as rows of tokens, from a JSONL file or anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError, ParameterError

IGNORED = -100
"""The label of a token that no loss counts, as in PyTorch's cross-entropy."""


def read_texts(file: str | Path, column: str = "text") -> Iterator[str]:
    """The texts of a JSONL file, one object a line.

    Args:
        file: UTF-8; blank lines are skipped.
        column: the key under which an object holds its text.

    Raises:
        InputError: for a file that cannot be read, and, with the line, for one that holds no such object.
    """
    try:
        with Path(file).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _text_of(line, column, f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text: {error}") from None


def _text_of(line: str, column: str, where: str) -> str:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: is no JSON ({error}); write one object a line") from None
    if not isinstance(found, dict) or not isinstance(found.get(column), str):
        has = ", ".join(found) if isinstance(found, dict) else type(found).__name__
        raise InputError(f"{where}: expected an object with a text under '{column}', got {has}")
    return str(found[column])


def token_rows(texts: Iterable[str], tokenizer: Any, *, length: int, pack: bool = False) -> dict[str, Tensor]:
    """Columns `input_ids`, `attention_mask` and `labels`, each (rows, length) int64, as `Batches` and causal language models take them.

    Args:
        texts: such as `read_texts(file)` gives.
        tokenizer: transformers' or one like it: called with a text it gives `input_ids`.
        length: tokens in a row.
        pack: False: a row is a text, cut at `length` and filled up with padding, which is not looked at and whose labels are -100.
            True: all texts, each with the end token behind it, stand one after the other and are cut into rows; the rest is left out.

    Raises:
        ParameterError: for a length below 1.
        InputError: where there are no texts, or with `pack` too few tokens for a row.

    >>> letters = lambda text: {"input_ids": [ord(letter) for letter in text]}
    >>> token_rows(["ab", "c"], letters, length=2)["labels"].tolist()
    [[97, 98], [99, -100]]
    """
    if length < 1:
        raise ParameterError(f"length: expected at least 1 token, got {length}")
    rows = [list(tokenizer(text)["input_ids"]) for text in texts]
    end = getattr(tokenizer, "eos_token_id", None)
    if pack:
        tokens = torch.tensor([token for row in rows for token in (row if end is None else [*row, end])], dtype=torch.int64)
        if len(tokens) < length:
            raise InputError(f"texts: have {len(tokens)} tokens, expected {length} at least for a row; give more, or a smaller length")
        ids = tokens[: len(tokens) // length * length].view(-1, length)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}
    if not rows:
        raise InputError("texts: there are none, expected one at least")
    pad = getattr(tokenizer, "pad_token_id", None)
    ids = torch.full((len(rows), length), (end or 0) if pad is None else pad)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row[:length])
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, IGNORED)}
