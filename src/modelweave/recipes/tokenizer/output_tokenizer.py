"""Which tokenizer a merge gets: one input's, or the union of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from ...checkpoints.tensors import Checkpoint
from ...errors import CheckpointError, CompatibilityError, RecipeError, unknown
from ..language.tokenizer_settings import TokenizerSettings, TokenRow
from .files import Tokenizer, read_tokenizer, with_tokens, without_names, without_rows
from .vocabulary_tensors import embedding_rows

OpenModel = Callable[[str], Checkpoint]


@dataclass(frozen=True)
class TokenizerSource:
    """A tokenizer, the rows of its model's embedding and that model's config."""

    tokenizer: Tokenizer
    rows: int
    config: Mapping[str, Any] | None


@dataclass(frozen=True)
class TokenizerInputs:
    """The tokenizers of all inputs. rows: of each input's embedding; tokens with ids beyond them count as missing."""

    labels: tuple[str, ...]
    tokenizers: tuple[Tokenizer, ...]
    rows: tuple[int, ...]
    configs: tuple[Mapping[str, Any] | None, ...]
    warnings: tuple[str, ...] = ()

    def find(self, label: str, where: str) -> int:
        """The number of the input with this label."""
        if label not in self.labels:
            raise RecipeError(f"{where}: " + unknown("model", label, self.labels))
        return self.labels.index(label)

    def row(self, k: int, token: str) -> int | None:
        """The row of a token in input k, None where it has none."""
        i = self.tokenizers[k].ids.get(token)
        return i if i is not None and i < self.rows[k] else None


def read_inputs(checkpoints: Sequence[Checkpoint], anchor: int) -> TokenizerInputs:
    """The tokenizer of every checkpoint; one without is taken to share the anchor's when its embedding is as long."""
    known: dict[bytes, Tokenizer] = {}
    found = [read_tokenizer(c, known) for c in checkpoints]
    lengths = [embedding_rows(c) for c in checkpoints]
    shared = found[anchor]
    if shared is None:
        raise CompatibilityError(
            f"model '{checkpoints[anchor].label}': it has no tokenizer, expected tokenizer.json beside its weights; "
            "add one, or leave out tokenizer and tokenizer_source"
        )
    tokenizers, warnings = [], []
    for checkpoint, tokenizer, rows in zip(checkpoints, found, lengths, strict=True):
        if tokenizer is None and rows not in (None, lengths[anchor]):
            raise CompatibilityError(
                f"model '{checkpoint.label}': it has no tokenizer and {rows} embedding rows, expected {lengths[anchor]} as in "
                f"'{checkpoints[anchor].label}'; add its tokenizer.json beside its weights"
            )
        if tokenizer is None:
            same = f"the tokenizer of '{checkpoints[anchor].label}'"
            warnings.append(f"model '{checkpoint.label}' has no tokenizer; its rows are read with {same}")
        tokenizers.append(tokenizer or shared)
    sizes = [t.size if n is None else n for t, n in zip(tokenizers, lengths, strict=True)]
    labels, configs = tuple(c.label for c in checkpoints), tuple(c.config for c in checkpoints)
    return TokenizerInputs(labels, tuple(tokenizers), tuple(sizes), configs, tuple(warnings))


def output_tokenizer(
    settings: TokenizerSettings, inputs: TokenizerInputs, anchor: int, open_model: OpenModel | None = None
) -> tuple[TokenizerSource, tuple[str, ...]]:
    """The result's tokenizer with the rows and config of the model that it comes from, and warnings."""
    source = _source(settings, inputs, anchor, open_model)
    tokenizer = without_rows(source.tokenizer, source.rows)
    new, warnings = _missing(tokenizer, inputs) if settings.source == "union" else ({}, [])
    for token, row in settings.tokens.items():
        check_token_row(token, row, inputs, known=token in tokenizer.ids or token in new)
        if token not in tokenizer.ids:
            new.setdefault(token, _settings_of(token, inputs))
    result = with_tokens(tokenizer, list(new.items()))
    gone = sorted(source.tokenizer.ids.keys() - result.ids.keys(), key=lambda token: source.tokenizer.ids[token])
    if gone:
        warnings = [*warnings, f"tokens without a row in the tokenizer's own model are left out: {_few(gone)}"]
    return replace(source, tokenizer=without_names(result, gone)), tuple(warnings)


def check_token_row(token: str, row: TokenRow, inputs: TokenizerInputs, *, known: bool) -> None:
    """Raise RecipeError when a source that the recipe names for a token does not exist."""
    where = f"tokenizer.tokens[{token!r}]"
    if row.kind == "default" and not known and all(inputs.row(k, token) is None for k in range(len(inputs.labels))):
        close = get_close_matches(token, {t for tokenizer in inputs.tokenizers for t in tokenizer.added}, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "correct it, or give it a source"
        raise RecipeError(f"{where}: no model has this token; {hint}")
    if row.model is None:
        return
    k = inputs.find(row.model, f"{where}.source")
    wanted = token if row.kind == "model" else row.token
    if wanted is not None and inputs.row(k, wanted) is None:
        raise RecipeError(
            f"{where}.source: model '{row.model}' has no row for token {wanted!r}, expected one of its tokens; "
            "name another model, or {kind: model_token, model, token}"
        )
    if row.token_id is not None and row.token_id >= inputs.rows[k]:
        raise RecipeError(
            f"{where}.source.token_id: model '{row.model}' has {inputs.rows[k]} rows, got {row.token_id}; "
            f"use a number from 0 to {inputs.rows[k] - 1}"
        )


def _source(settings: TokenizerSettings, inputs: TokenizerInputs, anchor: int, open_model: OpenModel | None) -> TokenizerSource:
    if settings.source in ("union", "base") or settings.source in inputs.labels or open_model is None:
        k = anchor if settings.source in ("union", "base") else inputs.find(settings.source, "tokenizer source")
        return TokenizerSource(inputs.tokenizers[k], inputs.rows[k], inputs.configs[k])
    checkpoint = _opened(settings.source, open_model)
    tokenizer = read_tokenizer(checkpoint)
    if tokenizer is None:
        raise CompatibilityError(f"tokenizer source '{settings.source}': it has no tokenizer; name a model that has one")
    return TokenizerSource(tokenizer, embedding_rows(checkpoint) or tokenizer.size, checkpoint.config)


def _opened(source: str, open_model: OpenModel) -> Checkpoint:
    """The model that lends only its tokenizer, or the error of opening it, with the word that may be meant."""
    try:
        return open_model(source)
    except CheckpointError as error:
        close = get_close_matches(source.lower(), ("union", "base"), n=1)
        if not close:
            raise
        raise RecipeError(f"tokenizer source '{source}': did you mean '{close[0]}'? otherwise, {error}") from error


def _missing(tokenizer: Tokenizer, inputs: TokenizerInputs) -> tuple[dict[str, Mapping[str, Any] | None], list[str]]:
    """What the union adds: first the other inputs' ordinary tokens, then their added ones, each input in order of ids."""
    ordinary: dict[str, Mapping[str, Any] | None] = {}
    added: dict[str, Mapping[str, Any] | None] = {}
    differing: list[str] = []
    seen = {(tokenizer.digest, tokenizer.size)}
    for k, other in enumerate(inputs.tokenizers):
        key = (other.digest, min(inputs.rows[k], other.size))
        if key in seen:
            continue
        seen.add(key)
        ids = other.ids
        for token in sorted(ids.keys() - tokenizer.ids.keys() - other.added.keys(), key=lambda t: (ids[t], t)):
            if ids[token] < inputs.rows[k]:
                ordinary[token] = None
        for token in sorted(other.added, key=lambda t: (ids[t], t)):
            if ids[token] < inputs.rows[k]:
                first = tokenizer.added.get(token) or added.setdefault(token, other.added[token])
                if first != other.added[token]:
                    differing.append(token)
    ordinary = {token: None for token in ordinary if token not in added}
    warnings = [f"added tokens with differing settings, the first are kept: {_few(differing)}"] if differing else []
    if ordinary:
        warnings.append(
            f"union: {len(ordinary)} ordinary tokens of other models become added tokens, which are matched in a text before "
            f"the tokenizer's own rules: {_few(list(ordinary))}"
        )
    return {**ordinary, **added}, warnings


def _settings_of(token: str, inputs: TokenizerInputs) -> Mapping[str, Any] | None:
    return next((t.added[token] for t in inputs.tokenizers if token in t.added), None)


def _few(tokens: Sequence[str]) -> str:
    unique = list(dict.fromkeys(tokens))
    return ", ".join(map(repr, unique[:5])) + (f" and {len(unique) - 5} more" if len(unique) > 5 else "")
