"""Vocabulary alignment: one output vocabulary, and for every model which of its rows stands where.

How the recipe builder uses it:

    settings = TokenizerSettings.from_recipe(document_tokenizer_source, document_tokenizer)    # None when neither key is given
    vocabulary = plan_vocabulary(settings, checkpoints, base_index, donor_index)               # None: nothing to align
    if vocabulary is None:
        sentence = same_tokenizers(checkpoints)            # None, or one sentence for the plan's warnings
    else:
        for each output tensor with is_vocabulary_tensor(name, ref.shape, vocabulary.rows[index]):
            ref = vocabulary.wrap(index, ref, refs_of_all)     # refs_of_all: one reference or None a checkpoint, same order
        side_files = vocabulary.side_files(side_files)     # the donor's files with the tokenizer exchanged
        config = vocabulary.patch_config(config)           # vocab_size, *_token_id, also inside text_config
        warnings += vocabulary.warnings

`checkpoints` are the inputs without repetition; `base_index` is the recipe's base_model or None; `donor_index` the checkpoint
whose config and files the result inherits. Model references inside the settings are compared with `Checkpoint.label`.
A `<model>` tokenizer source that is not an input is opened with `open_model(reference)` when that is given.

Where a row comes from, for one output token and one model: the model's own row; what `tokens` says (for all models with
`force`); otherwise the single owner's row, the base's, the mean over the owners, zero. Ids without a token (spare rows that
round a matrix up) count as one token each, so that they are kept. With pad_to_multiple_of the rows beyond the tokens hold
each model's mean row instead (Hewitt 2021, "Initializing new word embeddings").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...checkpoints.dtypes import Bytes
from ...checkpoints.places.place import TOKENIZER_FILES
from ...checkpoints.row_gather import AVERAGE, MEAN, ZERO, RowGather
from ...checkpoints.tensors import Checkpoint, InFile, TensorRef
from ...errors import CompatibilityError
from ...text.json_text import parse_json
from ...text.words import counted
from ..language.tokenizer_settings import TokenizerSettings, TokenRow
from .comparison import opaque_but_equal, same_tokenizers
from .output_tokenizer import TokenizerInputs, output_tokenizer, read_inputs
from .row_table import Index, RowTable, own_rows
from .vocabulary_config import changed_ids, changed_size, patched
from .vocabulary_tensors import embedding_rows, is_vocabulary_tensor

__all__ = [
    "TOKENIZER_FILES",
    "TokenRow",
    "TokenizerSettings",
    "Vocabulary",
    "VocabularyRow",
    "embedding_rows",
    "is_vocabulary_tensor",
    "plan_vocabulary",
    "same_tokenizers",
]


class VocabularyRow(NamedTuple):
    """One model's part in an output vocabulary.

    rows: of its embedding. tokens: of the output that it has. lacks: those it has not. filled: from where the rows that it does not
    give itself come, in words.
    """

    model: str
    rows: int
    tokens: int
    lacks: int
    filled: str


@dataclass(frozen=True)
class Vocabulary:
    """The output vocabulary and the way to it.

    size: rows of the result. tokens: by id, None for ids without a token; shorter than size where spare rows follow.
    files: the tokenizer's files. config_changes: new values by dotted key for the donor's config.
    rows: embedding rows of each input. warnings: sentences for the plan.
    """

    size: int
    tokens: tuple[str | None, ...] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)
    config_changes: dict[str, Any]
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    warnings: tuple[str, ...]
    _inputs: tuple[Checkpoint, ...] = field(repr=False)
    _donor: int
    _table: RowTable = field(repr=False)
    _moved: Callable[[Mapping[str, Any]], dict[str, Any]] = field(repr=False)

    def wrap(self, index: int, ref: TensorRef, refs_of_all: Sequence[TensorRef | None]) -> TensorRef:
        """A vocabulary tensor of input `index` with the output's rows, read when asked.

        refs_of_all: this tensor in each input, None where it takes no part. `ref` itself comes back when nothing moves.
        A bias of one row with a column a token is aligned with its like in every input, whatever their widths.
        Raises CompatibilityError when the tensor is not `rows[index]` long or a row is needed from an input without it.
        """
        if ref.shape[0] == 1 != self.rows[index]:
            lying = [self._turned(k, checkpoint.get(ref.name)) for k, checkpoint in enumerate(self._inputs)]
            own = lying[index] = _Reshaped(ref, ref.shape[1:])
            gathered = self._gathered(index, own, lying)
            return ref if gathered is own else _Reshaped(gathered, (1, self.size))
        refs = list(refs_of_all)
        refs[index] = ref
        return self._gathered(index, ref, refs)

    def _turned(self, k: int, ref: TensorRef | None) -> TensorRef | None:
        """The bias of input k as a column, None where it has none."""
        return None if ref is None or ref.shape != (1, self.rows[k]) else _Reshaped(ref, ref.shape[1:])

    def _gathered(self, index: int, ref: TensorRef, refs: Sequence[TensorRef | None]) -> TensorRef:
        """`ref` with the output's rows; itself when all of its rows stay."""
        present = tuple(other is not None for other in refs)
        which, row = self._table.of(index, present)
        if self.size == self.rows[index] and (which == index).all() and (row == np.arange(self.size)).all():
            return ref
        for k, other in enumerate(refs):
            if other is not None and other.shape[0] != self.rows[k]:
                raise CompatibilityError(
                    f"model '{self.labels[k]}': {other.name} is {'x'.join(map(str, other.shape))}, expected {self.rows[k]} rows as in its "
                    "embedding; it cannot be aligned, so merge models of one vocabulary without tokenizer and tokenizer_source"
                )
        for k in np.unique(which[which >= 0]).tolist():
            if refs[k] is None:
                raise CompatibilityError(
                    f"tokenizer.tokens: {ref.name} needs a row from model '{self.labels[k]}', which lacks this tensor; name another source"
                )
        owners = np.where(np.array(present)[:, None], self._table.own, -1)
        return RowGather(ref.name, refs, which, row, owners=owners, stored=ref.stored)

    def row_map(self, index: int) -> tuple[Index, Index]:
        """For each output row the input (or ZERO, MEAN, AVERAGE of row_gather) and the row that stand there in input `index`."""
        return self._table.of(index, (True,) * len(self.labels))

    def patch_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config like the donor's, with the vocabulary's size and ids."""
        return patched(config, self.config_changes)

    def side_files(self, donor_files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The donor's files with the tokenizer's exchanged and the ids in generation_config.json moved."""
        files = {name: data for name, data in donor_files.items() if name not in TOKENIZER_FILES}
        if "generation_config.json" in files:
            old = parse_json(files["generation_config.json"], f"model '{self.labels[self._donor]}': generation_config.json")
            changes = self._moved(old)
            if changes:
                files["generation_config.json"] = json.dumps(patched(old, changes), indent=2).encode()
        return {**files, **self.files}

    def summary(self) -> tuple[VocabularyRow, ...]:
        """How each model's rows come into the order of the output, for the plan."""
        named = np.zeros(self.size, bool)
        named[: len(self.tokens)] = [token is not None for token in self.tokens]
        words = {ZERO: "zero", MEAN: "mean of the owners", AVERAGE: "mean of all rows"}
        names = {**words, **{j: f"from {other}" for j, other in enumerate(self.labels)}}
        result = []
        for k, label in enumerate(self.labels):
            which, _ = self.row_map(k)
            kinds, counts = np.unique(which[which != k], return_counts=True)
            filled = ", ".join(f"{n} {names[j]}" for j, n in zip(kinds.tolist(), counts.tolist(), strict=True))
            has = self._table.own[k] >= 0
            result.append(VocabularyRow(label, self.rows[k], int((has & named).sum()), int((~has & named).sum()), filled))
        return tuple(result)


class _Reshaped(TensorRef):
    """The same elements in another shape."""

    def __init__(self, ref: TensorRef, shape: tuple[int, ...]) -> None:
        super().__init__(ref.name, shape, ref.dtype, ref.stored)
        self._ref = ref

    def read_into(self, start: int, out: Bytes) -> None:
        self._ref.read_into(start, out)

    def at_hand(self, start: int) -> Bytes | InFile | None:
        return self._ref.at_hand(start)


def plan_vocabulary(
    settings: TokenizerSettings | None,
    checkpoints: Sequence[Checkpoint],
    base_index: int | None,
    donor_index: int,
    *,
    open_model: Callable[[str], Checkpoint] | None = None,
) -> Vocabulary | None:
    """The output vocabulary, or None when there is nothing to align: no settings, or files that cannot be parsed but are equal.

    base_index: of the recipe's base_model among the checkpoints, None without one; the donor then lends its tokenizer.
    Raises RecipeError for unknown models and tokens, CompatibilityError for tokenizers that are missing or do not fit.
    """
    if settings is None or opaque_but_equal(settings, checkpoints):
        return None
    anchor = donor_index if base_index is None else base_index
    inputs = read_inputs(checkpoints, anchor)
    output, warnings = output_tokenizer(settings, inputs, anchor, open_model)
    ids, multiple = output.tokenizer.ids, settings.pad_to_multiple_of
    tokens: list[str | None] = [None] * output.tokenizer.size
    for token, i in ids.items():
        tokens[i] = token
    size = -(-len(tokens) // multiple) * multiple if multiple else max(len(tokens), output.rows)
    tail = len(tokens) if multiple else size
    own = np.stack([own_rows(tokens, size, t, rows) for t, rows in zip(inputs.tokenizers, inputs.rows, strict=True)])
    fixed = {ids[t]: _fixed_row(row, t, inputs) for t, row in settings.tokens.items() if row.kind != "default"}

    def moved(config: Mapping[str, Any]) -> dict[str, Any]:
        old = inputs.tokenizers[donor_index]
        return changed_ids(config, {i: t for t, i in old.ids.items()}, ids, output.config)

    config = checkpoints[donor_index].config
    changes = {} if config is None else {**changed_size(config, inputs.rows[donor_index], size), **moved(config)}
    return Vocabulary(
        size=size,
        tokens=tuple(tokens),
        files=dict(output.tokenizer.files),
        config_changes=changes,
        labels=inputs.labels,
        rows=inputs.rows,
        warnings=(*inputs.warnings, *warnings, *_orphans(tokens, own, fixed)),
        _inputs=tuple(checkpoints),
        _donor=donor_index,
        _table=RowTable(own, fixed, base_index, tail),
        _moved=moved,
    )


def _fixed_row(row: TokenRow, token: str, inputs: TokenizerInputs) -> tuple[int, int, bool]:
    """(input or ZERO, its row, force) for a token that the recipe sets by hand."""
    if row.model is None:
        return ZERO, 0, row.force
    k = inputs.find(row.model, f"tokenizer.tokens[{token!r}].source")
    if row.token_id is not None:
        return k, row.token_id, row.force
    return k, inputs.tokenizers[k].ids[token if row.token is None else row.token], row.force


def _orphans(tokens: Sequence[str | None], own: Index, fixed: Mapping[int, Any]) -> tuple[str, ...]:
    unowned = np.flatnonzero((own[:, : len(tokens)] < 0).all(axis=0)).tolist()
    names = [tokens[r] for r in unowned if tokens[r] is not None and r not in fixed]
    return (
        (f"{counted(len(names), 'token has', 'tokens have')} a row in no model, which becomes zero, such as {names[0]!r}",) if names else ()
    )
