"""Embeddings for prompt_weights from a transformers model with a text and an image encoder, such as CLIP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError, ParameterError


class ClipEmbeddings(NamedTuple):
    """What prompt_weights takes, in its order: `prompt_weights(*found)`.

    images: (images, dim) float32. texts: (templates, classes, dim) float32. All rows have length 1. scale: exp(logit_scale).
    """

    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    scale: float


def clip_embeddings(
    model: Any,
    processor: Any,
    images: Iterable[Any],
    templates: Sequence[str],
    class_names: Sequence[str],
    *,
    tokenizer: Any = None,
    batch_size: int = 64,
) -> ClipEmbeddings:
    """The model's embeddings of the images and of every template filled with every class, and its scale.

    Source: Allingham et al. 2023, arXiv 2302.06235: each text's embedding is brought to length 1 before anything is averaged.

    Args:
        model: a transformers CLIPModel, or one with its get_image_features, get_text_features and logit_scale; it stays on its device and
            is asked without dropout.
        processor: its CLIPProcessor, or its image processor alone, with tokenizer beside it.
        images: what the image processor takes, such as PIL images or arrays; any iterable, of which batch_size are held at a time.
        templates: texts with {} for the class's name; "{}" alone is the bare name.
        class_names: in the order of the classes.
        tokenizer: the model's; texts that are longer than the model reads are cut.
        batch_size: at least 1.

    Returns:
        What `prompt_weights` takes, in its order: `prompt_weights(*found)`.

    Raises:
        ParameterError: for templates without {}, no templates, no classes, no tokenizer and for batch_size.
        CompatibilityError: for no images.
    """
    texts = embed_texts(model, tokenizer or getattr(processor, "tokenizer", None), templates, class_names, batch_size=batch_size)
    found = embed_images(model, getattr(processor, "image_processor", processor), images, batch_size=batch_size)
    return ClipEmbeddings(found, texts, logit_scale(model))


def embed_texts(
    model: Any, tokenizer: Any, templates: Sequence[str], class_names: Sequence[str], *, batch_size: int = 64
) -> NDArray[np.float32]:
    """(templates, classes, dim): the text embedding of each template with each class in place of its {}, of length 1.

    templates: texts with {} for the class's name; "{}" alone is the bare name. class_names: in the order of the classes. tokenizer:
    the model's; texts that are longer than the model reads are cut.
    Raises ParameterError for templates without {}, no templates and no classes.
    """
    _check_batch(batch_size)
    if isinstance(templates, str) or isinstance(class_names, str) or not len(templates) or not len(class_names):
        raise ParameterError("embed_texts: templates and class_names must be lists with at least one text each")
    if bare := [template for template in templates if "{}" not in template]:
        raise ParameterError(f"embed_texts: template {bare[0]!r} has no {{}} for the class's name, as in 'a photo of a {{}}.'")
    if tokenizer is None:
        raise ParameterError("embed_texts: no tokenizer; give the model's CLIPProcessor, or its tokenizer as tokenizer=")
    limit = int(model.config.text_config.max_position_embeddings)

    def encode(texts: list[str]) -> Any:
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return model.get_text_features(input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device))

    device = next(model.parameters()).device
    filled = (template.replace("{}", name) for template in templates for name in class_names)
    return _embed("embed_texts", model, encode, filled, batch_size).reshape(len(templates), len(class_names), -1)


def embed_images(model: Any, image_processor: Any, images: Iterable[Any], *, batch_size: int = 64) -> NDArray[np.float32]:
    """(images, dim): the image embeddings, of length 1.

    images: what the image processor takes, such as PIL images or arrays; any iterable, of which batch_size are held at a time.
    Raises CompatibilityError for no images.
    """
    _check_batch(batch_size)

    def encode(batch: list[Any]) -> Any:
        pixels = image_processor(images=batch, return_tensors="pt")["pixel_values"]
        return model.get_image_features(pixel_values=pixels.to(device=parameter.device, dtype=parameter.dtype))

    parameter = next(model.parameters())
    return _embed("embed_images", model, encode, images, batch_size)


def logit_scale(model: Any) -> float:
    """exp of the model's logit_scale: what its cosines are multiplied by. 100 for the published CLIP models."""
    return float(model.logit_scale.detach().double().exp())


def _embed(where: str, model: Any, encode: Any, items: Iterable[Any], batch_size: int) -> NDArray[np.float32]:
    from ...networks import evaluating

    found = []
    waiting = iter(items)
    with evaluating(model):
        while batch := list(islice(waiting, batch_size)):
            encoded = encode(batch)
            encoded = getattr(encoded, "pooler_output", encoded).float()  # transformers 5 wraps what version 4 gave as a tensor
            found.append((encoded / encoded.norm(dim=-1, keepdim=True)).cpu().numpy())
    if not found:
        raise CompatibilityError(f"{where}: nothing to embed; expected at least one")
    return np.concatenate(found)


def _check_batch(batch_size: int) -> None:
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ParameterError(f"batch_size must be a whole number from 1, got {batch_size!r}")
