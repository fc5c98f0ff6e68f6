"""Output heads that are not stored because they are the input embedding."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_EMBEDDINGS = (
    ".embed_tokens.weight", ".wte.weight", ".word_embeddings.weight", ".shared.weight", ".embed_in.weight", ".tok_embeddings.weight",
    ".embeddings.weight",
)  # fmt: skip
_HEADS = (
    ".lm_head.weight", ".embed_out.weight", ".lm_head.decoder.weight", ".predictions.decoder.weight", ".generator_lm_head.weight",
    ".vocab_projector.weight", ".proj_out.weight", ".pred_layer.proj.weight", ".lm_loss.weight",
)  # fmt: skip
_BESIDE = {
    "cls.predictions.bias": "cls.predictions.decoder.weight",
    "predictions.bias": "predictions.decoder.weight",
    "lm_head.dense.weight": "lm_head.decoder.weight",
    "generator_lm_head.bias": "generator_lm_head.weight",
    "vocab_projector.bias": "vocab_projector.weight",
    "pred_layer.proj.bias": "pred_layer.proj.weight",
    "lm_loss.bias": "lm_loss.weight",
}
"""What stands beside a head that is not stored, and the head."""
_WITH_HEAD = ("LM", "ConditionalGeneration", "ImageTextToText", "Vision2Seq")
"""Words in the names of models that speak."""
_BIASES = {"cls.predictions.decoder.weight": "cls.predictions.bias", "lm_head.decoder.weight": "lm_head.bias"}
"""Heads whose bias has a second name, too."""


def tied_heads(config: Mapping[str, Any] | None, names: Collection[str]) -> dict[str, str]:
    """The missing head as an alias of the embedding, where the config says that they are tied.

    >>> tied_heads({"tie_word_embeddings": True}, ["model.embed_tokens.weight", "model.norm.weight"])
    {'lm_head.weight': 'model.embed_tokens.weight'}
    """
    embedding = input_embedding(names)
    if (
        not config
        or not is_tied(config)
        or embedding is None
        or any(is_head(name) or f".{name}".endswith(".output.weight") for name in names)
    ):
        return {}
    head = _head_of(config, names, embedding)
    if head is None:
        return {}
    bias, second = _BIASES.get(head, ""), head.removesuffix("weight") + "bias"
    return {head: embedding, **({second: bias} if bias in names and second not in names else {})}


def further_names(config: Mapping[str, Any] | None, names: Collection[str], shared: Mapping[str, str]) -> dict[str, str]:
    """Under which other names a file shows the input embedding, where the config says that it is tied. shared: as in `Checkpoint`.

    >>> names = ["lm_head.weight", "model.embed_tokens.weight"]
    >>> further_names({"tie_word_embeddings": True}, names, {"model.embed_tokens.weight": "lm_head.weight"})
    {'lm_head.weight': 'model.embed_tokens.weight'}
    """
    embedding = input_embedding(names)
    if embedding is None or not is_tied(config):
        return {}
    place = shared.get(embedding, embedding)
    return {name: embedding for name in names if name != embedding and shared.get(name, name) == place}


def is_head(name: str) -> bool:
    """Whether a name is that of an output head.

    >>> is_head("lm_head.weight"), is_head("score.weight")
    (True, False)
    """
    return f".{name}".endswith(_HEADS)


def input_embedding(names: Collection[str]) -> str | None:
    """The name of the input embedding, None where there is none.

    >>> input_embedding(["bert.embeddings.position_embeddings.weight", "bert.embeddings.word_embeddings.weight"])
    'bert.embeddings.word_embeddings.weight'
    """
    for ending in _EMBEDDINGS:
        found = [name for name in names if f".{name}".endswith(ending)]
        if found:
            return min(found, key=lambda name: (len(name), name))
    return None


def is_tied(config: Mapping[str, Any] | None) -> bool:
    """Whether a config says that head and embedding are one tensor."""
    inner = (config or {}).get("text_config")
    flag = (config or {}).get("tie_word_embeddings", inner.get("tie_word_embeddings") if isinstance(inner, Mapping) else None)
    return flag is True


def _head_of(config: Mapping[str, Any], names: Collection[str], embedding: str) -> str | None:
    """How a model with these tensors calls its head, None where it has none, or one that nobody knows."""
    for beside, head in _BESIDE.items():
        if beside in names:
            return head
    made = config.get("architectures") or [""]
    architecture = str(made[0]) if isinstance(made, list) else ""
    speaks = not architecture or any(word in architecture for word in _WITH_HEAD)
    if not speaks or architecture.startswith("Whisper") or embedding.endswith((".embeddings.weight", ".tok_embeddings.weight")):
        return None
    # older multimodal checkpoints keep the head beside the text model, inside one prefix
    return "language_model.lm_head.weight" if embedding.startswith("language_model.") else "lm_head.weight"
