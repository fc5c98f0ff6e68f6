"""Output heads that are not stored because they are the input embedding."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "shared.weight", "embed_in.weight")
_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight", "cls.predictions.decoder.weight")


def tied_heads(config: Mapping[str, Any] | None, names: Collection[str]) -> dict[str, str]:
    """The missing head as an alias of the embedding, where the config says that they are tied.

    >>> tied_heads({"tie_word_embeddings": True}, ["model.embed_tokens.weight", "model.norm.weight"])
    {'lm_head.weight': 'model.embed_tokens.weight'}
    """
    if not is_tied(config) or any(name == head or name.endswith("." + head) for name in names for head in _HEADS):
        return {}
    for ending in _EMBEDDINGS:
        found = sorted((name for name in names if name == ending or name.endswith("." + ending)), key=lambda name: (len(name), name))
        if found:
            # older multimodal checkpoints keep the head beside the text model, inside one prefix
            prefix = "language_model." if found[0].startswith("language_model.") else ""
            return {f"{prefix}lm_head.weight": found[0]}
    return {}


def is_tied(config: Mapping[str, Any] | None) -> bool:
    """Whether a config says that head and embedding are one tensor."""
    inner = (config or {}).get("text_config")
    flag = (config or {}).get("tie_word_embeddings", inner.get("tie_word_embeddings") if isinstance(inner, Mapping) else None)
    return flag is True
