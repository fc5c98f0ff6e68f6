"""Whether inputs share one vocabulary, told from their files."""

from __future__ import annotations

from collections.abc import Sequence

from ...checkpoints.tensors import Checkpoint
from ...errors import CheckpointError, CompatibilityError
from ..language.tokenizer_settings import TokenizerSettings
from .files import Tokenizer, can_be_read, read_tokenizer, vocabulary_digest
from .vocabulary_tensors import embedding_rows

_FEW = 0.01
"""Share of rows that may stand for other tokens, such as reserved ones that were put to use."""
_REMEDY = "set tokenizer_source to 'union' or 'base' to merge them by token"


def same_tokenizers(checkpoints: Sequence[Checkpoint]) -> str | None:
    """None when the vocabularies are equal or cannot be told apart, otherwise one sentence that says how they differ.

    Models without a tokenizer are left out. Raises CompatibilityError where more than one row in a hundred stands for different tokens.
    """
    known: dict[bytes, Tokenizer] = {}
    first: tuple[Checkpoint, bytes] | None = None
    for checkpoint in checkpoints:
        try:
            digest = vocabulary_digest(checkpoint)
        except CheckpointError as error:
            return f"whether the tokenizers are equal cannot be told, rows are merged by number: {error}"
        if digest is None or (first is not None and digest == first[1]):
            continue
        if first is None:
            first = (checkpoint, digest)
            continue
        try:
            difference = _difference(first[0], checkpoint, known)
        except CheckpointError as error:
            return f"whether the tokenizers are equal cannot be told, rows are merged by number: {error}"
        if difference:
            return (
                f"the tokenizers of '{first[0].label}' and '{checkpoint.label}' differ ({difference}); rows are merged by number, {_REMEDY}"
            )
    return None


def _difference(a: Checkpoint, b: Checkpoint, known: dict[bytes, Tokenizer]) -> str | None:
    one, two = _ids_with_rows(a, known), _ids_with_rows(b, known)
    if one == two:
        return None
    only_one, only_two = len(one.keys() - two.keys()), len(two.keys() - one.keys())
    moved = sum(1 for token, i in one.items() if two.get(token, i) != i)
    rows = {i: token for token, i in one.items()}
    clashes = sum(1 for token, i in two.items() if rows.get(i, token) != token)
    if clashes > len(rows) * _FEW:
        raise CompatibilityError(
            f"model '{b.label}': its vocabulary differs from that of '{a.label}' ({clashes} of {len(rows)} rows stand for other tokens); "
            + _REMEDY
        )
    return f"{only_one} tokens only in the first, {only_two} only in the second, {moved} with another id"


def _ids_with_rows(checkpoint: Checkpoint, known: dict[bytes, Tokenizer]) -> dict[str, int]:
    """The ids that stand for a row; a token that is only named, past the last one, says nothing of the tensors."""
    tokenizer, rows = read_tokenizer(checkpoint, known), embedding_rows(checkpoint)
    assert tokenizer is not None
    return {token: i for token, i in tokenizer.ids.items() if rows is None or i < rows}


def opaque_but_equal(settings: TokenizerSettings, checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether all vocabularies are the same file that cannot be parsed, the same tokens beside it, and nothing is asked that needs more."""
    if settings.tokens or settings.pad_to_multiple_of or any(can_be_read(c) for c in checkpoints):
        return False
    if settings.source not in ("union", "base", *(c.label for c in checkpoints)):
        return False
    digests = {vocabulary_digest(c) for c in checkpoints}
    return len(digests) == 1 and None not in digests and len({embedding_rows(c) for c in checkpoints}) == 1
