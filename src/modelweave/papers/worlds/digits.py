"""Eight related tasks on real images: the handwritten digits of scikit-learn, seen turned and mirrored.

Task k shows every image under the k-th symmetry of the square (four turns, with and without a flip); all tasks share the ten
classes and the head. The base has seen a few images of all tasks, an expert many images of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, Any]
Split = tuple[Any, Any]


@dataclass(frozen=True)
class Suite:
    """validation and test: (images, labels) of each task."""

    base: State
    experts: list[State]
    validation: list[Split]
    test: list[Split]


def symmetry(images: Tensor, k: int) -> Tensor:
    """Images (n, 8, 8) under the k-th symmetry of the square, flattened to (n, 64)."""
    turned = images.rot90(k % 4, (1, 2))
    return (turned.flip(2) if k >= 4 else turned).reshape(-1, 64)


def make_suite(
    seed: int,
    *,
    tasks: int = 8,
    width: int = 256,
    base_images: int = 60,
    optimizer: Literal["sgd", "adam"] = "sgd",
    experts: int | None = None,
) -> Suite:
    """Train a base on `base_images` images under all symmetries, and one expert a task from it on 1,000 images of its own.

    A network 64-width-width-10. Experts: SGD with momentum 0.9, rate 0.02 falling along a half cosine, batches of 32, 6 epochs (with
    Adam, rate 2e-3, the changes are almost uniform in size). 300 images validate, 497 test.
    """
    import torch
    from sklearn.datasets import load_digits

    with quiet_torch(seed):
        digits = load_digits()
        order = torch.randperm(len(digits.target))
        images = torch.tensor(digits.images, dtype=torch.float32)[order]
        images = (images - images.mean()) / images.std()
        labels = torch.tensor(digits.target)[order]
        train, validation, test = slice(0, 1000), slice(1000, 1300), slice(1300, None)
        few = torch.cat([symmetry(images[:base_images], k) for k in range(tasks)])
        base = fresh(width)
        fit(base, few, labels[:base_images].repeat(tasks), rate=2e-3, epochs=15, adam=True)
        start = {name: value.detach().clone() for name, value in base.state_dict().items()}
        trained = []
        for k in range(tasks if experts is None else experts):
            expert = fresh(width)
            expert.load_state_dict(start)
            adam = optimizer == "adam"
            fit(expert, symmetry(images[train], k), labels[train], rate=2e-3 if adam else 0.02, epochs=6, adam=adam)
            trained.append({name: value.detach().clone() for name, value in expert.state_dict().items()})
        splits = [[(symmetry(images[part], k), labels[part]) for k in range(tasks)] for part in (validation, test)]
    return Suite(start, trained, splits[0], splits[1])


def logits(state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Outputs (n, 10) of the network with these weights."""
    for layer in ("0", "2"):
        images = (images @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).relu()
    return images @ state["4.weight"].T + state["4.bias"]


def accuracy(state: Mapping[str, Tensor], split: Split) -> float:
    """Share of right answers of the network with these weights."""
    return float((logits(state, split[0]).argmax(1) == split[1]).float().mean())


def mean_accuracy(state: Mapping[str, Tensor], splits: Sequence[Split]) -> float:
    """Mean over tasks."""
    return sum(accuracy(state, split) for split in splits) / len(splits)


def best_scale(prepared: Any, scales: Sequence[float], splits: Sequence[Split], like: Mapping[str, Tensor]) -> float:
    """The scale with the highest mean accuracy on validation splits, the first of equals; prepared from flat weights."""
    return max(scales, key=lambda scale: mean_accuracy(unflat(prepared.at(scale), like), splits))


def flat(state: Mapping[str, Tensor]) -> State:
    """The same weights as one vector, for methods whose paper ranks entries over the whole model."""
    import torch

    return {"all": torch.cat([value.reshape(-1) for value in state.values()])}


def unflat(vector: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> State:
    """What `flat` took apart."""
    whole: Any = vector["all"]
    parts = whole.split([value.numel() for value in like.values()])
    return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}


def fresh(width: int, inputs: int = 64) -> Any:
    """A network inputs-width-width-10."""
    from torch import nn

    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def fit(network: Any, images: Tensor, labels: Tensor, *, rate: float, epochs: int, adam: bool, batch: int = 32) -> None:
    """Train on batches in random order, the rate falling along a half cosine; adam: else SGD with momentum 0.9."""
    import torch

    optimizer: Any = torch.optim.Adam(network.parameters(), rate) if adam else torch.optim.SGD(network.parameters(), rate, momentum=0.9)
    steps = epochs * -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for at in range(0, len(images), batch):
            rows = order[at : at + batch]
            loss: Any = torch.nn.functional.cross_entropy(network(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@contextmanager
def quiet_torch(seed: int) -> Iterator[None]:
    """Seeded and on one thread, which is faster for networks this small; both settings are put back."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
