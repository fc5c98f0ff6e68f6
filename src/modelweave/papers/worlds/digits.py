"""Eight related tasks on real images: the handwritten digits of scikit-learn, seen turned and mirrored.

Task k shows every image under the k-th symmetry of the square (four turns, with and without a flip); all tasks share the ten
classes and the head. The base has seen a few images of all tasks, an expert many images of one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...extras import extra
from ...networks import seeded
from .classifiers import Suite, Training, fine_tuned


def load_digits() -> tuple[Tensor, Tensor]:
    """The 1,797 images (n, 8, 8) float32 from 0 to 16 that come with scikit-learn, and their labels (n,), from 0 to 9."""
    found = extra("sklearn.datasets", "tabular").load_digits()
    return torch.tensor(found.images, dtype=torch.float32), torch.tensor(found.target)


def symmetry(images: Tensor, k: int) -> Tensor:
    """Images (n, 8, 8) under the k-th symmetry of the square, flattened to (n, 64)."""
    turned = images.rot90(k % 4, (1, 2))
    return (turned.flip(2) if k >= 4 else turned).reshape(-1, 64)


def make_suite(seed: int, *, width: int = 256, base_images: int = 60, adam: bool = False, experts: int | None = None) -> Suite:
    """A base trained on `base_images` images under all symmetries, and one expert a task from it on 1,000 images of its own.

    A network 64-width-width-10. Experts: SGD, rate 0.02, 6 epochs (with Adam, rate 2e-3, the changes are almost uniform in size).
    300 images validate, 497 test.
    """
    with seeded(seed, single_thread=True):
        images, labels = load_digits()
        order = torch.randperm(len(labels))
        images, labels = images[order], labels[order]
        images = (images - images.mean()) / images.std()
        return fine_tuned(
            [symmetry(images, k) for k in range(8)],
            labels,
            parts=(base_images, 1000, 300),
            width=width,
            base=Training(2e-3, epochs=15, adam=True),
            expert=Training(2e-3 if adam else 0.02, epochs=6, adam=adam),
            experts=experts,
        )
