"""Four views of the same handwritten digits: tasks that share most of what they need and disagree on the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .digits import load_digits

VIEWS = ("upright", "turned", "mirrored", "upside-down")


@dataclass(frozen=True)
class LabelledImages:
    """images: (n, 1, 8, 8) float32 in [0, 1]. labels: (n,) int64, 0 to 9."""

    images: Tensor
    labels: Tensor


def train_and_test(train: int, test: int, *, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """scikit-learn's digits, shuffled, as a training and a test split."""
    images, labels = load_digits()
    images = images.div(16).unsqueeze(1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    first, second = order[:train], order[len(order) - test :]
    return LabelledImages(images[first], labels[first]), LabelledImages(images[second], labels[second])


def view(images: Tensor, name: str) -> Tensor:
    """The images as the task of that name shows them.

    >>> view(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "mirrored").tolist()
    [[2.0, 1.0], [4.0, 3.0]]
    """
    turns = {"upright": 0, "turned": 1, "mirrored": 0, "upside-down": 2}[name]
    turned = torch.rot90(images, turns, (-2, -1))
    return turned.flip(-1) if name == "mirrored" else turned


def as_task(split: LabelledImages, name: str) -> LabelledImages:
    """The split with its images shown as the task of that name shows them."""
    return LabelledImages(view(split.images, name), split.labels)


def all_views(split: LabelledImages) -> LabelledImages:
    """The split once in every view."""
    return LabelledImages(torch.cat([view(split.images, name) for name in VIEWS]), split.labels.repeat(len(VIEWS)))
