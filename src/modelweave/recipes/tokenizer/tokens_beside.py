"""Tokens that only the files beside a vocabulary list or name, as transformers adds them on loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...errors import CheckpointError
from ...text.json_text import parse_json

ENTRY = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
"""How an added token behaves unless its tokenizer says otherwise."""
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The special tokens that every tokenizer may name, in the order in which transformers adds them."""
LISTS = ("extra_special_tokens", "additional_special_tokens")


class Beside(NamedTuple):
    """A token that a file beside the vocabulary lists or names. number: the id that is written there, None where none is."""

    token: str
    number: int | None
    settings: dict[str, Any]


def tokens_beside(label: str, files: Mapping[str, bytes], padding: str | None = None) -> list[Beside]:
    """The tokens that the files beside the vocabulary list or name, in the order in which transformers adds them.

    First the listed ones by their numbers, then the named ones. A list in tokenizer_config.json holds alone: the two older files
    count only without it. padding: the token that tokenizer.json pads with; it counts where no file names another.
    """
    config, names, older = (_side_file(label, files, n) for n in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"))
    holds_alone = "added_tokens_decoder" in config
    named = _named(config, {} if holds_alone else names, padding)
    listed: dict[int, tuple[str, Mapping[str, Any]]]
    try:
        if holds_alone:
            decoder = config["added_tokens_decoder"]
            listed = {int(i): (e["content"], e) for i, e in ({} if decoder is None else decoder).items()}
        else:
            listed = {i: (token, {}) for token, i in older.items()}
        if {type(i) for i in older.values()} - {int} or {type(token) for token, _ in listed.values()} - {str}:
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        where = "added_tokens_decoder in tokenizer_config.json" if holds_alone else "added_tokens.json"
        raise CheckpointError(
            f"model '{label}': {where} is not a list of tokens, expected an id and a text for each; get a fresh copy of it"
        ) from None
    found = [Beside(token, i, _settings(entry, special=token in named)) for i, (token, entry) in sorted(listed.items())]
    there = {b.token for b in found}
    return found + [Beside(token, None, settings) for token, settings in named.items() if token not in there]


def _named(config: Mapping[str, Any], names: Mapping[str, Any], padding: str | None) -> dict[str, dict[str, Any]]:
    """The special tokens that files name, in the order in which transformers adds them, each with its settings.

    config: tokenizer_config.json. names: special_tokens_map.json, which overrides it.
    """
    given = {"pad_token": padding, **config, **names}
    own = [key for key in given if key.endswith("_token") and key not in _NAMED]
    own.sort(key=lambda key: key not in names and isinstance(given[key], str))
    first, second = LISTS
    lists = [config.get(first) or config.get(second, config.get(first)), names.get(first)]
    if lists == [None, None]:
        lists = [names.get(second)]
    values = [given[key] for key in (*_NAMED, *own) if key in given]
    values += [value for entries in lists if isinstance(entries, Mapping) for value in entries.values()]
    values += [value for entries in lists if isinstance(entries, list) for value in entries]
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        token = content_of(value)
        if token:
            found.setdefault(token, _settings(value, special=True))
    return found


def _settings(value: Any, *, special: bool) -> dict[str, Any]:
    """How a token behaves that is given as text or as a mapping. special: whether it is so even where the mapping does not say it."""
    given = value if isinstance(value, Mapping) else {}
    special = bool(given.get("special", False)) or special
    return {
        **{k: bool(given.get(k, ENTRY[k])) for k in ENTRY},
        "normalized": bool(given.get("normalized", not special)),
        "special": special,
    }


def content_of(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, Mapping) else value
    return text if isinstance(text, str) else None


def padding_of(document: Mapping[str, Any] | None) -> str | None:
    """The token that a tokenizer.json pads with."""
    padding = (document or {}).get("padding")
    return content_of(padding.get("pad_token")) if isinstance(padding, Mapping) else None


def is_piece(token: str, data: bytes) -> bool:
    """Whether a sentencepiece file holds a token: as the first field of a message, its length in one byte before it."""
    text = token.encode("utf-8", "surrogatepass")
    return len(text) < 128 and bytes((10, len(text))) + text in data


def _side_file(label: str, files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    return parse_json(files[name], f"model '{label}': {name}") if name in files else {}
