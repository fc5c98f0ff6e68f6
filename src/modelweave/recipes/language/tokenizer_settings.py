"""What a recipe says about the vocabulary: the keys `tokenizer_source` and `tokenizer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...errors import RecipeError, unknown
from ...text.references import reference

_KEYS = ("source", "tokens", "pad_to_multiple_of")
_TOKEN_KEYS = ("source", "force")


@dataclass(frozen=True)
class TokenRow:
    """Where one token's row comes from in models that lack it, or in all with `force`.

    kind: `model` (that model's own row for the token), `model_token` (its row for another token or id), `zero`,
    or `default` (single owner, base, mean of the owners, zero).
    """

    kind: Literal["default", "model", "model_token", "zero"] = "default"
    model: str | None = None
    token: str | None = None
    token_id: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenizerSettings:
    """The wanted output vocabulary.

    source: `union`, `base` or a model's reference. tokens: rows that the recipe sets by hand; tokens that the output vocabulary
    lacks are added to it. pad_to_multiple_of: round the number of rows up; None, in a recipe also 0, keeps the source's own spare rows.
    """

    source: str = "union"
    tokens: Mapping[str, TokenRow] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None

    @classmethod
    def from_recipe(cls, tokenizer_source: Any = None, tokenizer: Any = None) -> TokenizerSettings | None:
        """The settings from plain YAML values, or None when neither key is given.

        Raises RecipeError for both keys at once, unknown keys, wrong types and pad_to_multiple_of below 0.
        >>> TokenizerSettings.from_recipe("base")
        TokenizerSettings(source='base', tokens={}, pad_to_multiple_of=None)
        >>> TokenizerSettings.from_recipe(None, {"tokens": {"<x>": {"source": {"kind": "zero"}}}}).tokens["<x>"].kind
        'zero'
        """
        if tokenizer_source is not None and tokenizer is not None:
            raise RecipeError("tokenizer_source and tokenizer: expected one of the two keys, got both; keep tokenizer")
        if tokenizer is None:
            return None if tokenizer_source is None else cls(reference(tokenizer_source, "tokenizer_source"))
        _check_keys(tokenizer, _KEYS, "tokenizer")
        source = tokenizer.get("source")
        return cls(
            "union" if source is None else reference(source, "tokenizer.source"),
            _token_rows(tokenizer.get("tokens")),
            _multiple(tokenizer.get("pad_to_multiple_of")),
        )


def _token_rows(value: Any) -> dict[str, TokenRow]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RecipeError(f"tokenizer.tokens: expected a mapping from token to its source, got {value!r}")
    for token in value:
        if not isinstance(token, str) or not token:
            raise RecipeError(f"tokenizer.tokens: expected tokens as text, got {token!r}; put it in quotes")
    return {token: _token_row(row, f"tokenizer.tokens[{token!r}]") for token, row in value.items()}


def _token_row(value: Any, where: str) -> TokenRow:
    value = {} if value is None else value
    _check_keys(value, _TOKEN_KEYS, where)
    source, force = value.get("source"), _truth(value.get("force", False), f"{where}.force")
    if source is None and force:
        raise RecipeError(f"{where}: force needs a source; name a model, or {{kind: zero}}")
    if source is None:
        return TokenRow()
    if isinstance(source, Mapping) and "kind" in source:
        return _token_row_of_kind(source, force, f"{where}.source")
    return TokenRow("model", reference(source, f"{where}.source"), force=force)


def _token_row_of_kind(source: Mapping[str, Any], force: bool, where: str) -> TokenRow:
    kind = source["kind"]
    if kind == "zero":
        _check_keys(source, ("kind",), where)
        return TokenRow("zero", force=force)
    if kind != "model_token":
        raise RecipeError(f"{where}: " + unknown("kind", str(kind), ("model_token", "zero")))
    _check_keys(source, ("kind", "model", "token", "token_id"), where)
    token, token_id = source.get("token"), _number(source.get("token_id"))
    if (token is None) == (token_id is None):
        raise RecipeError(f"{where}: expected exactly one of token and token_id, got {'neither' if token is None else 'both'}")
    if token is not None and not isinstance(token, str):
        raise RecipeError(f"{where}.token: expected text, got {token!r}; put it in quotes, or use token_id")
    if token_id is not None and (not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0):
        raise RecipeError(f"{where}.token_id: expected a whole number of at least 0, got {token_id!r}")
    return TokenRow("model_token", reference(source.get("model"), f"{where}.model"), token, token_id, force)


def _truth(value: Any, where: str) -> bool:
    """A boolean, also as 0 or 1 or as a word."""
    word = value.strip().lower() if isinstance(value, str) else value
    known = {"true": True, "false": False, 1: True, 0: False}
    if not isinstance(word, (str, int)) or word not in known:
        raise RecipeError(f"{where}: expected true or false, got {value!r}")
    return known[word]


def _multiple(value: Any) -> int | None:
    number = _number(value)
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise RecipeError(f"tokenizer.pad_to_multiple_of: expected a whole number of at least 0, got {value!r}")
    return number or None


def _number(value: Any) -> Any:
    """A whole number that is written as text, as one; anything else as it is."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


def _check_keys(value: Any, known: Iterable[str], where: str) -> None:
    if not isinstance(value, Mapping):
        raise RecipeError(f"{where}: expected a mapping with {', '.join(known)}, got {value!r}")
    for key in value:
        if key not in known:
            raise RecipeError(f"{where}: " + unknown("key", str(key), known))
