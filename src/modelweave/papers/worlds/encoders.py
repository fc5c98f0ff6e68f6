"""A made pair of encoders for images and texts, seen through what it embeds: images, templates with classes, generic images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES, DIM, TEMPLATES, GOOD, STYLES = 50, 48, 40, 8, 8
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A made pair of encoders, seen through what it embeds."""

    images: Floats  # (images, DIM)
    labels: NDArray[np.intp]
    generic: Floats  # (any, DIM)
    texts: Floats  # (TEMPLATES, CLASSES, DIM)
    good: NDArray[np.intp]


def make_world(seed: int, images: int = 2000, generic: int = 3000, *, present: int = CLASSES, fair: bool = False) -> World:
    """Images are their class, style 0 and noise; a template is its class by its quality, its style and noise.

    Eight templates are good, twelve of the others share style 0 with all images, and ten others have two classes drawn to the generic
    images' mean. present: of how many classes there are images. fair: all templates good, none with style 0 or such classes.
    """
    random = np.random.default_rng(seed)
    classes, styles = _unit(random.standard_normal((CLASSES, DIM))), _unit(random.standard_normal((STYLES, DIM)))
    labels = random.integers(present, size=images)
    seen = _unit(classes[labels] + 0.6 * styles[0] + 2.2 * _unit(random.standard_normal((images, DIM))))
    others = _generic(random, classes, styles, generic)
    order = random.permutation(TEMPLATES)
    quality = np.full(TEMPLATES, 1.0 if fair else 0.12)
    quality[order[:GOOD]] = 1.0
    style = random.integers(1, STYLES, size=TEMPLATES)
    style[order[GOOD : GOOD + 12]] = style[order[GOOD]] if fair else 0
    noise = _unit(random.standard_normal((TEMPLATES, CLASSES, DIM)))
    raw = quality[:, None, None] * classes + 0.5 * styles[style][:, None] + (1.2 - quality)[:, None, None] * noise
    if not fair:
        for p in order[GOOD + 12 : GOOD + 22]:
            raw[p, random.choice(CLASSES, 2, replace=False)] += 0.8 * others.mean(axis=0)
    return World(seen, labels, others, _unit(raw), np.sort(order[:GOOD]))


def _generic(random: np.random.Generator, classes: Floats, styles: Floats, count: int) -> Floats:
    kinds = random.integers(CLASSES, size=count)
    worn = styles[random.integers(STYLES, size=count)]
    return _unit(classes[kinds] + 0.6 * worn + 2.2 * _unit(random.standard_normal((count, DIM))))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def accuracy(world: World, weights: Floats) -> float:
    """Of the classifier that is the weighted sum of the templates' text embeddings."""
    return float(np.mean((world.images @ np.tensordot(weights, world.texts, axes=1).T).argmax(axis=1) == world.labels))
