"""Which tensors are indexed by the vocabulary, told by name and shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...checkpoints.tensors import Checkpoint

# The word before `.weight`, as the architectures of transformers and the older ones with remote code call it.
_INPUT = (
    "embed_tokens|wte|word_embeddings|word_embedding|shared|embed_in|tok_embeddings|tok_embedding|token_embedding"
    "|token_embeddings|tok_emb|embeddings|embedding|tokens_embed|input_embedding"
)
_OUTPUT = r"lm_head|embed_out|output_layer|head|vocab_projector|generator_lm_head|proj_out|lm_loss|pred_layer\.proj"
_INPUT_NAME = re.compile(rf"(?:^|\.)(?:{_INPUT})\.weight$")
_OUTPUT_NAME = re.compile(
    rf"(?:^|\.)(?:{_OUTPUT})\.(?:weight|bias)$"
    r"|^(?:[^\W\d]\w*\.)*output\.(?:weight|bias)$"
    r"|(?:^|\.)(?:lm_head|predictions|generator_predictions|mlm_head)\.(?:decoder|linear|bias|out_proj)(?:\.weight|\.bias)?$"
)
# Names that say enough only beside an embedding of as many rows: heads at the top, the one embedding of CTRL, and more rows a token.
_OTHER_NAME = re.compile(
    r"^decoder\.(?:weight|bias)$|(?:^|\.)head\.decoder\.(?:weight|bias)$|^(?:model\.)?(?:decoder\.)?output_projection\.(?:weight|bias)$"
    r"|^(?:transformer\.)?w\.weight$|(?:^|\.)embed_tokens_per_layer\.weight$|(?:^|\.)gate\.tid2eid$|(?:^|\.)lm_head\.logit_scale$"
)
_VECTOR = re.compile(r"(?:bias|logit_scale)$")
_ROW_NAME = re.compile(r"(?:^|\.)final_logits_bias$")
_COLUMNS_NAME = re.compile(r"(?:^|\.)cls\.predictions\.dense\.weight$")
# Where an architecture gives a few tokens no output, or its further embeddings fewer rows.
_SHORTER_NAME = re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.(?:weight|bias)$|(?:^|\.)embed_tokens_per_layer\.weight$")
_FEW = 16
"""The share of the rows, as its inverse, that still counts as a few."""
_CONFIGS = ("text_config", "llm_config", "language_config", "decoder", "encoder")


def is_vocabulary_tensor(name: str, shape: Sequence[int], rows: int) -> bool:
    """Whether a tensor counts tokens: the name of an input embedding or output head, and `rows` rows.

    rows: of the checkpoint's embedding, see `embedding_rows`. Biases of output heads count; embeddings of positions do not. True also
    for what counts tokens along its second axis, and for a head with a few rows more or less than the embedding: `Vocabulary.wrap`
    refuses those that it cannot bring into another order.
    >>> is_vocabulary_tensor("model.embed_tokens.weight", (32000, 64), 32000)
    True
    >>> is_vocabulary_tensor("cls.predictions.bias", (30522,), 30522)
    True
    >>> is_vocabulary_tensor("transformer.wpe.weight", (1024, 64), 1024)
    False
    """
    if len(shape) not in (1, 2):
        return False
    if len(shape) == 2 and shape[1] == rows and (_COLUMNS_NAME.search(name) or (shape[0] == 1 and _ROW_NAME.search(name))):
        return True
    if bool(_VECTOR.search(name)) == (len(shape) == 2):
        return False
    if shape[0] == rows:
        return any(pattern.search(name) for pattern in (_INPUT_NAME, _OUTPUT_NAME, _OTHER_NAME))
    return abs(shape[0] - rows) <= rows // _FEW and bool(_SHORTER_NAME.search(name))


def embedding_rows(checkpoint: Checkpoint) -> int | None:
    """Rows of the input embedding, else of the output head, else the config's vocab_size; None when nothing tells.

    Several embeddings (an image tower beside a language model): the one that the config's vocab_size names, else the longest.
    """
    expected = config_vocab_size(checkpoint.config)
    for pattern in (_INPUT_NAME, _OUTPUT_NAME):
        found = [checkpoint[n].shape[0] for n in checkpoint if pattern.search(n) and len(checkpoint[n].shape) == 2]
        if found:
            return expected if expected in found else max(found)
    return expected


def vocab_configs(config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Paths of the mappings inside a config that hold a vocab_size, as in `()` and `("text_config",)`."""
    top: list[tuple[str, ...]] = [()] if "vocab_size" in config else []
    nested: list[tuple[str, ...]] = [(key,) for key in _CONFIGS if isinstance(config.get(key), Mapping) and "vocab_size" in config[key]]
    return top + nested


def config_vocab_size(config: Mapping[str, Any] | None) -> int | None:
    """The vocab_size of a config, at the top or in its language part.

    >>> config_vocab_size({"text_config": {"vocab_size": 7}})
    7
    """
    for path in vocab_configs(config or {}):
        inner: Any = config
        for key in path:
            inner = inner[key]
        if isinstance(inner["vocab_size"], int):
            return int(inner["vocab_size"])
    return None
