"""Tokenizers as files: which token has which id, read and changed without loading a tokenizer library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..checkpoints.tensors import Checkpoint
from ..errors import CheckpointError, CompatibilityError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tiktoken.model",
)
_OLD_VOCABULARIES = ("vocab.json", "merges.txt", "vocab.txt")
_OPAQUE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tiktoken.model")
_ENTRY = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
"""How an added token behaves unless its tokenizer says otherwise."""


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary and the files that hold it.

    ids: token to id. added: the tokens that stand outside the model's own vocabulary, each with its settings.
    model_size: entries of the model's own vocabulary. document: the parsed tokenizer.json, None for the older files.
    digest: equal for tokenizers whose vocabulary files are equal byte by byte.
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

    known: tokenizers read before, by digest; equal files are parsed once.
    Raises CheckpointError for damaged files, and for vocabularies that only their own library can read (sentencepiece, tiktoken).
    """
    names = set(checkpoint.side_files())
    files = {n: checkpoint.side_file(n) for n in (*TOKENIZER_FILES, *_code(names)) if n in names}
    sources = _vocabulary_files(files)
    opaque = [n for n in _OPAQUE if n in files]
    if opaque and not sources:
        raise CheckpointError(
            f"model '{checkpoint.label}': its tokenizer is only {opaque[0]}, expected tokenizer.json; write one with transformers: "
            "AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder)"
        )
    if not sources:
        return None
    digest = hashlib.sha256(b"".join(hashlib.sha256(files[n]).digest() for n in sources)).digest()
    known = {} if known is None else known
    if digest not in known:
        known[digest] = _parse(checkpoint.label, files, digest)
    return replace(known[digest], files=files)


def vocabulary_digest(checkpoint: Checkpoint) -> bytes | None:
    """A hash of the files that hold the vocabulary, also for those that cannot be parsed here; None without a tokenizer."""
    names = set(checkpoint.side_files())
    files = {n: checkpoint.side_file(n) for n in TOKENIZER_FILES if n in names}
    sources = _vocabulary_files(files) or [n for n in _OPAQUE if n in files]
    return hashlib.sha256(b"".join(hashlib.sha256(files[n]).digest() for n in sources)).digest() if sources else None


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
        files["tokenizer.json"] = _dump(document)
        if gone - set(tokenizer.added):
            for name in (*_OLD_VOCABULARIES, *_OPAQUE):
                files.pop(name, None)
    elif gone - set(tokenizer.added):
        raise CompatibilityError(
            f"tokenizer of {tokenizer.size} tokens over an embedding of {rows} rows; save it as tokenizer.json first "
            "(transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...))"
        )
    _edit(files, "added_tokens.json", lambda old: {t: i for t, i in old.items() if t not in gone})
    _edit_decoder(files, lambda old: {i: e for i, e in old.items() if e.get("content") not in gone})
    return replace(
        tokenizer,
        ids={t: i for t, i in tokenizer.ids.items() if t not in gone},
        added={t: e for t, e in tokenizer.added.items() if t not in gone},
        model_size=tokenizer.model_size if document is None else len(document["model"]["vocab"]),
        document=document,
        digest=tokenizer.digest + rows.to_bytes(8, "big"),
        files=files,
    )


def with_tokens(tokenizer: Tokenizer, new: Sequence[tuple[str, Mapping[str, Any] | None]]) -> Tokenizer:
    """The tokenizer with more added tokens, each with its settings or None for the plain ones.

    New ids follow the rule of the `tokenizers` library, which numbers added tokens when it loads a file: after the largest
    added id, or after the model's own vocabulary. A token that is there already keeps its id and becomes an added one.
    """
    if not new:
        return tokenizer
    ids, added = dict(tokenizer.ids), dict(tokenizer.added)
    numbers = [ids[t] for t in added if ids[t] >= tokenizer.model_size]
    following = max(numbers) + 1 if numbers else tokenizer.model_size
    taken = set(ids.values())
    entries = []
    for token, settings in new:
        if token not in ids:
            if following in taken:
                raise CompatibilityError(
                    f"tokenizer: the ids have holes, token {token!r} would take id {following}, which is used; "
                    "use tokenizer_source base or a model"
                )
            ids[token], following = following, following + 1
        entry = {"id": ids[token], "content": token, **_ENTRY, **(settings or {})}
        added[token] = {k: entry[k] for k in _ENTRY}
        entries.append(entry)
    document = tokenizer.document
    files = dict(tokenizer.files)
    if document is not None:
        document = {**document, "added_tokens": [*(document.get("added_tokens") or []), *entries]}
        files["tokenizer.json"] = _dump(document)
    else:
        files.setdefault("added_tokens.json", b"{}")
        files.setdefault("tokenizer_config.json", b"{}")
    appended = {e["content"]: e["id"] for e in entries if e["content"] not in tokenizer.ids}
    listed = [t for t in added if document is None or t not in tokenizer.added]
    decoder = {str(ids[t]): {"content": t, **added[t]} for t in listed}
    _edit(files, "added_tokens.json", lambda old: {**old, **appended})
    _edit_decoder(files, lambda old: {**old, **decoder}, create=document is None)
    return replace(
        tokenizer,
        ids=ids,
        added=added,
        document=document,
        digest=hashlib.sha256(repr(new).encode()).digest(),
        files=files,
    )


def _code(names: Iterable[str]) -> list[str]:
    return sorted(n for n in names if n.startswith("tokenization_") and n.endswith(".py"))


def _vocabulary_files(files: Mapping[str, bytes]) -> list[str]:
    """The files that decide which token has which id."""
    if "tokenizer.json" in files:
        return ["tokenizer.json"]
    if "vocab.json" in files or "vocab.txt" in files:
        return [n for n in (*_OLD_VOCABULARIES, "added_tokens.json") if n in files]
    return []


def _parse(label: str, files: Mapping[str, bytes], digest: bytes) -> Tokenizer:
    document: dict[str, Any] | None = None
    try:
        if "tokenizer.json" in files:
            document = json.loads(files["tokenizer.json"])
            vocab, entries = document["model"]["vocab"], document.get("added_tokens") or []
        else:
            vocab, entries = _old_vocabulary(files)
        own = dict(vocab) if isinstance(vocab, dict) else {piece[0]: i for i, piece in enumerate(vocab)}
        added = {e["content"]: {k: e.get(k, _ENTRY[k]) for k in _ENTRY} for e in entries}
        ids = {**own, **{e["content"]: e["id"] for e in entries}}
        if set(map(type, ids)) - {str} or set(map(type, ids.values())) - {int} or min(ids.values(), default=0) < 0:
            raise TypeError
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise CheckpointError(
            f"model '{label}': {_vocabulary_files(files)[0]} is not a tokenizer, expected a vocabulary of tokens and ids; "
            "download or save the tokenizer again"
        ) from None
    return Tokenizer(ids, added, len(own), document, digest, files)


def _old_vocabulary(files: Mapping[str, bytes]) -> tuple[Any, list[dict[str, Any]]]:
    if "vocab.json" in files:
        vocab = json.loads(files["vocab.json"])
    else:
        lines = files["vocab.txt"].decode().split("\n")
        vocab = {line.rstrip("\r"): i for i, line in enumerate(lines) if line or i < len(lines) - 1}
    extra = json.loads(files.get("added_tokens.json", b"{}"))
    known = json.loads(files.get("tokenizer_config.json", b"{}")).get("added_tokens_decoder", {})
    settings = {e["content"]: e for e in known.values()}
    return vocab, [{**settings.get(t, {}), "content": t, "id": i} for t, i in extra.items()]


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
    entries = [e for e in document.get("added_tokens") or [] if e["content"] not in gone]
    return {**document, "model": model, "added_tokens": entries}


def _edit(files: dict[str, bytes], name: str, change: Any) -> None:
    """Apply a change to a JSON file that is there."""
    if name in files:
        files[name] = _dump(change(json.loads(files[name])), indent=2)


def _edit_decoder(files: dict[str, bytes], change: Any, *, create: bool = False) -> None:
    def inside(config: dict[str, Any]) -> dict[str, Any]:
        if "added_tokens_decoder" not in config and not create:
            return config
        return {**config, "added_tokens_decoder": change(config.get("added_tokens_decoder", {}))}

    _edit(files, "tokenizer_config.json", inside)


def _dump(value: Any, indent: int | None = None) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    return text.encode("utf-8", "surrogatepass")
