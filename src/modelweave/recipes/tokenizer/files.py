"""Tokenizers as files: which token has which id, read and changed without loading a tokenizer library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...checkpoints.places.place import TOKENIZER_FILES
from ...checkpoints.tensors import Checkpoint
from ...errors import CheckpointError, CompatibilityError
from .conversion import converted
from .tokens_beside import ENTRY, LISTS, content_of, is_piece, padding_of, tokens_beside

_OLD_VOCABULARIES = ("vocab.json", "merges.txt", "vocab.txt")
_OPAQUE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "tiktoken.model")


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary and the files that hold it.

    ids: token to id. added: the tokens that stand outside the model's own vocabulary, each with its settings.
    model_size: entries of the model's own vocabulary. document: the parsed tokenizer.json, None for the older files.
    digest: equal only for equal vocabularies, told from their files.
    """

    ids: Mapping[str, int]
    added: Mapping[str, Mapping[str, Any]]
    model_size: int
    document: Mapping[str, Any] | None
    digest: bytes
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return max(self.ids.values(), default=-1) + 1


def read_tokenizer(checkpoint: Checkpoint, known: dict[bytes, Tokenizer] | None = None) -> Tokenizer | None:
    """The tokenizer beside a checkpoint, or None when there is none.

    Tokens that only the files beside the vocabulary list or name are part of it, with the ids that transformers gives them on
    loading, and so are they in its tokenizer.json.
    known: vocabularies read before, by digest; equal files are parsed once.
    Vocabularies in another library's format alone (sentencepiece, tiktoken) are converted where transformers is installed.
    Raises CheckpointError for damaged files, and where that cannot be done.
    """
    names = set(checkpoint.side_files())
    files = {n: checkpoint.side_file(n) for n in (*TOKENIZER_FILES, *_code(names)) if n in names}
    sources = _vocabulary_files(files)
    opaque = [n for n in _OPAQUE if n in files]
    if opaque and not sources:
        files = {**converted(checkpoint.label, opaque[0], files, checkpoint.config), **files}
        sources = ["tokenizer.json"]
    if not sources:
        return None
    digest = _digest(files, sources)
    known = {} if known is None else known
    if digest not in known:
        known[digest] = _parse(checkpoint.label, files, digest)
    vocabulary = known[digest]
    old = vocabulary.document is None
    beside = tokens_beside(checkpoint.label, files, padding_of(vocabulary.document))
    new = [(b.token, b.settings) for b in beside if b.token not in vocabulary.ids or (old and b.number is not None)]
    found = replace(_joined(vocabulary, new), files=files)
    return found if old or _says_all(found) else _written(found)


def vocabulary_digest(checkpoint: Checkpoint) -> bytes | None:
    """A hash of what decides which token has which id, also for files that cannot be parsed here; None without a tokenizer."""
    names = set(checkpoint.side_files())
    files = {n: checkpoint.side_file(n) for n in TOKENIZER_FILES if n in names}
    readable = _vocabulary_files(files)
    sources = readable or [n for n in _OPAQUE if n in files]
    if not sources:
        return None
    pieces = [] if readable else [files[n] for n in sources]
    beside = [(b.token, b.number) for b in tokens_beside(checkpoint.label, files) if not any(is_piece(b.token, data) for data in pieces)]
    return hashlib.sha256(_digest(files, sources) + repr(beside).encode()).digest()


def can_be_read(checkpoint: Checkpoint) -> bool:
    """Whether the vocabulary stands in files that `read_tokenizer` parses."""
    return bool(_vocabulary_files(dict.fromkeys(checkpoint.side_files(), b"")))


def without_rows(tokenizer: Tokenizer, rows: int) -> Tokenizer:
    """The tokenizer without the tokens that have no row, those with ids from `rows` on; their ids cannot be used."""
    gone = {token for token, i in tokenizer.ids.items() if i >= rows}
    if not gone:
        return tokenizer
    files = dict(tokenizer.files)
    document = tokenizer.document
    if document is not None:
        document = _document_without(document, gone)
        if gone - set(tokenizer.added):
            for name in (*_OLD_VOCABULARIES, *_OPAQUE):
                files.pop(name, None)
    elif gone - set(tokenizer.added):
        raise CompatibilityError(
            f"tokenizer of {tokenizer.size} tokens over an embedding of {rows} rows; save it as tokenizer.json first "
            "(transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...))"
        )
    left = replace(
        tokenizer,
        ids={t: i for t, i in tokenizer.ids.items() if t not in gone},
        added={t: e for t, e in tokenizer.added.items() if t not in gone},
        model_size=tokenizer.model_size if document is None else len(document["model"]["vocab"]),
        document=document,
        digest=tokenizer.digest + rows.to_bytes(8, "big"),
        files=files,
    )
    return _written(left)


def with_tokens(tokenizer: Tokenizer, new: Sequence[tuple[str, Mapping[str, Any] | None]]) -> Tokenizer:
    """The tokenizer with more added tokens, each with its settings or None for the plain ones.

    A token that is there already keeps its id and becomes an added one. Raises CompatibilityError where a new id is taken.
    """
    if not new:
        return tokenizer
    joined = _joined(tokenizer, new)
    taken = set(tokenizer.ids.values())
    for token, i in joined.ids.items():
        if token not in tokenizer.ids and i in taken:
            raise CompatibilityError(
                f"tokenizer: the ids have holes, token {token!r} would take id {i}, which is used; use tokenizer_source base or a model"
            )
    return _written(joined)


def without_names(tokenizer: Tokenizer, gone: Iterable[str]) -> Tokenizer:
    """The tokenizer whose files no longer name tokens that it does not have; transformers would add them again, past the last row."""
    lost = set(gone)
    files = dict(tokenizer.files)
    if not lost:
        return tokenizer
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if name in files:
            files[name] = _dump(_names_without(json.loads(files[name]), lost), indent=2)
    document = tokenizer.document
    if document is not None and padding_of(document) in lost:
        document = {**document, "padding": None}
        files["tokenizer.json"] = _dump(document)
    return replace(tokenizer, document=document, files=files)


def _code(names: Iterable[str]) -> list[str]:
    return sorted(n for n in names if n.startswith("tokenization_") and n.endswith(".py"))


def _vocabulary_files(files: Mapping[str, bytes]) -> list[str]:
    """The files that hold the vocabulary before any token is added to it."""
    if "tokenizer.json" in files:
        return ["tokenizer.json"]
    if "vocab.json" in files or "vocab.txt" in files:
        return [n for n in _OLD_VOCABULARIES if n in files]
    return []


def _digest(files: Mapping[str, bytes], names: Iterable[str]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(files[n]).digest() for n in names)).digest()


def _parse(label: str, files: Mapping[str, bytes], digest: bytes) -> Tokenizer:
    """The vocabulary alone, without files."""
    document: dict[str, Any] | None = None
    try:
        if "tokenizer.json" in files:
            document = json.loads(files["tokenizer.json"])
            vocab, entries = document["model"]["vocab"], document.get("added_tokens") or []
        else:
            vocab, entries = _old_vocabulary(files), []
        own = dict(vocab) if isinstance(vocab, dict) else {piece[0]: i for i, piece in enumerate(vocab)}
        added = {e["content"]: {k: e.get(k, ENTRY[k]) for k in ENTRY} for e in entries}
        numbers = [*own.values(), *(e["id"] for e in entries)]
        if set(map(type, (*own, *added))) - {str} or set(map(type, numbers)) - {int} or min(numbers, default=0) < 0:
            raise TypeError
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise CheckpointError(
            f"model '{label}': {_vocabulary_files(files)[0]} is not a tokenizer, expected a vocabulary of tokens and ids; "
            "download or save the tokenizer again"
        ) from None
    return Tokenizer(_numbered(own, (), len(own), added), added, len(own), document, digest, {})


def _old_vocabulary(files: Mapping[str, bytes]) -> Any:
    if "vocab.json" in files:
        return json.loads(files["vocab.json"])
    lines = files["vocab.txt"].decode().split("\n")
    return {line.rstrip("\r"): i for i, line in enumerate(lines) if line or i < len(lines) - 1}


def _numbered(ids: Mapping[str, int], added: Iterable[str], model_size: int, new: Iterable[str]) -> dict[str, int]:
    """The ids with those of new tokens, by the rule of the `tokenizers` library, whatever numbers a file writes beside them.

    A new token comes after the largest added id, or after the model's own vocabulary; one that is there keeps its id.
    """
    result, following = dict(ids), max([model_size, *(ids[token] + 1 for token in added)])
    for token in new:
        following = max(following, result.setdefault(token, following) + 1)
    return result


def _joined(tokenizer: Tokenizer, new: Sequence[tuple[str, Mapping[str, Any] | None]]) -> Tokenizer:
    """The tokenizer with more added tokens, its files as they were."""
    if not new:
        return tokenizer
    settings = {token: {k: (given or {}).get(k, ENTRY[k]) for k in ENTRY} for token, given in new}
    return replace(
        tokenizer,
        ids=_numbered(tokenizer.ids, tokenizer.added, tokenizer.model_size, settings),
        added={**tokenizer.added, **settings},
        digest=hashlib.sha256(tokenizer.digest + repr(new).encode("utf-8", "surrogatepass")).digest(),
    )


def _says_all(tokenizer: Tokenizer) -> bool:
    """Whether tokenizer.json lists just the added tokens, with their ids."""
    entries = (tokenizer.document or {}).get("added_tokens") or []
    return [(e["content"], e["id"]) for e in entries] == [(token, tokenizer.ids[token]) for token in tokenizer.added]


def _written(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with files that list its added tokens."""
    ids, added, files, document = tokenizer.ids, tokenizer.added, dict(tokenizer.files), tokenizer.document
    config = json.loads(files.get("tokenizer_config.json", b"{}"))
    if document is not None:
        document = {**document, "added_tokens": [{"id": ids[t], "content": t, **settings} for t, settings in added.items()]}
        files["tokenizer.json"] = _dump(document)
    else:
        files.setdefault("added_tokens.json", b"{}")
    if "added_tokens_decoder" not in config and (document is None or any(name in files for name in _OPAQUE)):
        # readers of other formats learn of added tokens there; special_tokens_map.json does not count beside it
        names = json.loads(files.get("special_tokens_map.json", b"{}"))
        config = {**config, **{key: _typed(value) for key, value in names.items()}, "added_tokens_decoder": {}}
    if "added_tokens.json" in files:
        outside = [token for token in added if ids[token] >= tokenizer.model_size]
        listed = (*json.loads(files["added_tokens.json"]), *outside)
        files["added_tokens.json"] = _dump({token: ids[token] for token in listed if token in ids}, indent=2)
    if "added_tokens_decoder" in config:
        before = {e["content"]: e for e in (config["added_tokens_decoder"] or {}).values() if e["content"] in ids}
        entries = {**{token: {"content": token, **settings} for token, settings in added.items()}, **before}
        config["added_tokens_decoder"] = {str(ids[token]): entries[token] for token in sorted(entries, key=ids.__getitem__)}
        files["tokenizer_config.json"] = _dump(config, indent=2)
    return replace(tokenizer, document=document, files=files)


def _typed(value: Any) -> Any:
    """A special token of special_tokens_map.json as tokenizer_config.json writes it."""
    if isinstance(value, list):
        return [_typed(one) for one in value]
    return {"__type": "AddedToken", **value} if isinstance(value, Mapping) and "content" in value else value


def _names_without(names: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    result = dict(names)
    for key, value in names.items():
        if key in LISTS and isinstance(value, list):
            result[key] = [one for one in value if content_of(one) not in gone]
        elif key in LISTS and isinstance(value, Mapping):
            result[key] = {name: one for name, one in value.items() if content_of(one) not in gone}
        elif key.endswith("_token") and content_of(value) in gone:
            result[key] = None
    return result


def _document_without(document: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    model = dict(document["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {t: i for t, i in model["vocab"].items() if t not in gone}
    else:
        model["vocab"] = [piece for piece in model["vocab"] if piece[0] not in gone]
    if model.get("merges"):
        pairs = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
        left = [not (a in gone or b in gone or a + b in gone) for a, b in pairs]
        model["merges"] = [m for m, keep in zip(model["merges"], left, strict=True) if keep]
    return {**document, "model": model}


def _dump(value: Any, indent: int | None = None) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    return text.encode("utf-8", "surrogatepass")
