"""Weights for prompt templates of an image-text model, from unlabelled images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError, ParameterError, unknown

Floats = NDArray[np.floating[Any]]
MODES = ("both", "test", "pretrain", "pretrain*", "none")
BLOCK = 1 << 20
"""Logits that are held at a time."""
IMAGE_ROWS = 4096


@dataclass(frozen=True, eq=False)
class PromptWeights:
    """What `prompt_weights` found; np.asarray of it gives the weights.

    weights: (templates,), from 0, of sum 1. scores: (templates,), the mean over images of the largest shifted logit. selected: indices of
    the templates that have a weight, ascending. class_embeddings: (classes, dim), the weighted sum of the templates' text embeddings, not
    scaled to length 1. scale: of its logits. debias: the mode that was used. normalise: whether rows are brought to length 1.
    notes: what was done otherwise than asked, and why.
    """

    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    selected: NDArray[np.intp]
    class_embeddings: Floats
    scale: float
    debias: str
    normalise: bool
    notes: tuple[str, ...] = ()

    def logits(self, image_embeddings: Any) -> Floats:
        """(images, classes): the weighted sum over templates of their own logits, scale <image, text>."""
        images = _embeddings("image_embeddings", image_embeddings, 2, self.normalise)
        _same_space("image_embeddings", images, self.class_embeddings[None])
        return np.asarray(self.scale * (images @ self.class_embeddings.T))

    def predict(self, image_embeddings: Any) -> NDArray[np.intp]:
        """(images,): the class of the largest logit, the first of equal ones."""
        return np.asarray(self.logits(image_embeddings).argmax(axis=1))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False and dtype is not None and np.dtype(dtype) != self.weights.dtype:
            raise ValueError(f"the weights are {self.weights.dtype}; {np.dtype(dtype)} needs a copy")
        found = self.weights if dtype is None else self.weights.astype(dtype, copy=False)
        return found.copy() if copy else found


def prompt_weights(
    image_embeddings: Any,
    text_embeddings: Any,
    scale: float = 100.0,
    *,
    generic_embeddings: Any = None,
    generic_texts: Any = None,
    debias: str = "both",
    temperature: float = 1.0,
    threshold: float | None = None,
    normalise: bool = True,
) -> PromptWeights:
    """One weight a prompt template, without labels: by how confident it is on the images once its bias is subtracted (ZPE).

    L[i,p,c] = scale <image_i, text_pc>; score_p = mean_i max_c (L[i,p,c] - shift[p,c]); weights = softmax(scores / temperature).
    shift: "both": half the mean of L over the images plus half its mean over generic images; "test": the mean over the images;
    "pretrain": over generic images; "pretrain*": over generic images and generic texts, one number a template; "none": 0.

    A million logits are held at a time, and sums are float64. Arrays are NumPy's or torch's, on any device; half precision becomes float32.

    Args:
        image_embeddings: (images, dim), of the images to be classified, unlabelled.
        text_embeddings: (templates, classes, dim), every template filled with the same classes in the same order.
        scale: Of the model, exp(logit_scale), above 0; 100 for CLIP. It decides how sharp the weights are: with 1 they are almost equal.
        generic_embeddings: (any, dim), some thousands of images like those of pre-training; without them "both" becomes "test", and
            `notes` tells.
        generic_texts: For "pretrain*", (templates, any, dim), the templates filled with a wide list of classes; text_embeddings by default.
        debias: Which shift is subtracted, as above.
        temperature: Of the softmax over templates, above 0.
        threshold: Keep the templates that are `outlying` by it; the others' weights are 0, and the rest sum to 1. Allingham et al. take
            0.5 for ImageNet and 2 for sets of fine classes. Where nothing is outlying all are kept, and `notes` tells.
        normalise: Bring every row to length 1 first, which is what the formula means; False takes rows as they are.

    Returns:
        The weights, the scores that they come from, and the class embeddings that predict with them.

    Raises:
        ParameterError: For options that are unknown or out of range, and for a mode of debias without the generic embeddings it needs.
        CompatibilityError: For arrays that are empty, not finite, of other shapes, or that hold a row of zeros.

    Source: Allingham et al. 2023, arXiv 2302.06235, and their notebook, which scales neither the kept weights nor the sum over templates
    (it takes a mean); no prediction changes. Their max-logit scoring weights by the bare scores of "none", without a softmax.

    >>> images, texts = np.eye(2), np.array([[[3.0, 1], [1, 3]], [[5, 5], [4, 4]]])  # the second template tells no image from another
    >>> prompt_weights(images, texts, scale=1, normalise=False, debias="none").weights.round(3)
    array([0.119, 0.881])
    >>> prompt_weights(images, texts, scale=1, normalise=False).weights.round(3)
    array([0.731, 0.269])
    """
    _check_options(scale, debias, temperature, threshold)
    images = _embeddings("image_embeddings", image_embeddings, 2, normalise)
    texts = _embeddings("text_embeddings", text_embeddings, 3, normalise)
    _same_space("image_embeddings", images, texts)
    notes = []
    if debias == "both" and generic_embeddings is None:
        debias = "test"
        notes.append("debias is 'test', not 'both': no generic_embeddings were given")
    shift = _shift(debias, images, texts, generic_embeddings, generic_texts, normalise)
    scores = scale * _mean_largest(images, texts, shift)
    selected = np.arange(len(scores)) if threshold is None else outlying(scores, threshold)
    if not len(selected):
        selected = np.arange(len(scores))
        notes.append(f"all templates were kept: none is more than {threshold:g} MAD above the median score, or MAD is 0")
    weights = np.zeros(len(scores))
    weights[selected] = _softmax(scores[selected] / temperature)
    ensembled = np.tensordot(weights.astype(texts.dtype), texts, axes=1)
    return PromptWeights(weights, scores, selected, ensembled, float(scale), debias, normalise, tuple(notes))


def outlying(scores: Any, threshold: float) -> NDArray[np.intp]:
    """Indices of the scores that stand out above: (score - median) / MAD > threshold, MAD the median of |score - median|.

    scores: (templates,). threshold: above 0. Ascending; empty when MAD is 0, too.
    Source: the notebook of Allingham et al. 2023, which has no factor of 1.4826.

    >>> outlying([1, 2, 3, 4, 10], 0.5)
    array([3, 4])
    """
    values = np.asarray(scores, np.float64)
    above = values - np.median(values)
    spread = float(np.median(np.abs(above)))
    return np.flatnonzero(above > threshold * spread) if spread > 0 else np.empty(0, np.intp)


def _shift(debias: str, images: Floats, texts: Floats, generic: Any, generic_texts: Any, normalise: bool) -> NDArray[np.float64]:
    """(templates, classes) or (templates, 1), in cosines. A mean of logits is the logit of the mean image, so nothing is streamed."""
    if debias == "none":
        return np.zeros((len(texts), 1))
    own = images.mean(axis=0, dtype=np.float64)
    if debias == "test":
        return np.asarray(texts @ own)
    if generic is None:
        raise ParameterError(f"prompt_weights: debias '{debias}' needs generic_embeddings; give some, or take debias 'test'")
    others = _embeddings("generic_embeddings", generic, 2, normalise)
    _same_space("generic_embeddings", others, texts)
    mean = others.mean(axis=0, dtype=np.float64)
    if debias == "both":
        return np.asarray(texts @ ((own + mean) / 2))
    if debias == "pretrain":
        return np.asarray(texts @ mean)
    wide = texts if generic_texts is None else _embeddings("generic_texts", generic_texts, 3, normalise)
    if len(wide) != len(texts) or wide.shape[2] != texts.shape[2]:
        raise CompatibilityError(
            f"prompt_weights: generic_texts must be ({len(texts)} templates, any, {texts.shape[2]}) like text_embeddings, got {wide.shape}"
        )
    return np.asarray(wide.mean(axis=1, dtype=np.float64) @ mean)[:, None]


def _mean_largest(images: Floats, texts: Floats, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """mean_i max_c (<image_i, text_pc> - shift_pc), (templates,), a block of images by a block of templates at a time."""
    templates, classes, dim = texts.shape
    shift = shift.astype(np.result_type(images, texts))
    rows = max(1, min(len(images), IMAGE_ROWS, BLOCK // classes))
    step = max(1, BLOCK // (rows * classes))
    total = np.zeros(templates)
    for first in range(0, len(images), rows):
        block = images[first : first + rows]
        for at in range(0, templates, step):
            part = texts[at : at + step]
            found = (block @ part.reshape(-1, dim).T).reshape(len(block), len(part), classes)
            found -= shift[at : at + step]
            total[at : at + step] += found.max(axis=2).sum(axis=0, dtype=np.float64)
    return total / len(images)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    odds = np.exp(values - values.max())
    return np.asarray(odds / odds.sum())


def _embeddings(name: str, values: Any, axes: int, normalise: bool) -> Floats:
    """As a floating-point array, checked; with rows of length 1 if asked."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values if values.dtype.itemsize == 8 else values.float()).numpy()
    found = np.asarray(values)
    if found.dtype.kind not in "fiub" or found.ndim != axes or found.size == 0:
        wanted = ("(images, dim)", "(templates, classes, dim)")[axes - 2]
        raise CompatibilityError(f"prompt_weights: {name} must be numbers of shape {wanted} and not empty, got {found.dtype} {found.shape}")
    found = found.astype(np.float32 if found.dtype.itemsize <= 4 and found.dtype.kind == "f" else np.float64, copy=False)
    norms = np.sqrt(np.einsum("...d,...d->...", found, found))[..., None]
    if not np.isfinite(norms).all():
        raise CompatibilityError(f"prompt_weights: {name} holds NaN or infinity; leave those rows out")
    if not normalise:
        return found
    if not norms.all():
        raise CompatibilityError(f"prompt_weights: {name} has a row of zeros, which has no direction; leave it out")
    return np.asarray(found / norms)


def _same_space(name: str, images: Floats, texts: Floats) -> None:
    if images.shape[1] != texts.shape[2]:
        raise CompatibilityError(
            f"prompt_weights: {name} have {images.shape[1]} dimensions, text_embeddings {texts.shape[2]}; both must come from one model"
        )


def _check_options(scale: float, debias: str, temperature: float, threshold: float | None) -> None:
    if debias not in MODES:
        raise ParameterError("prompt_weights: " + unknown("debias", debias, MODES))
    for name, value in (("scale", scale), ("temperature", temperature), ("threshold", threshold)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ParameterError(f"prompt_weights: {name} must be above 0 and finite, got {value}")
