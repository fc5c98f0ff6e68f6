"""Two languages of digits: pictures of two digits, an operation on them, and the answer named in one of two output languages.

Language A shows digits upright, B turned. The base has seen B little, and the task, the sum modulo ten, hardly at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...networks import Batches, copied, fit, seeded
from .classifiers import State
from .digits import load_digits

OPERATIONS = 4
"""first, second, first + 1 modulo 10, and the larger; number 4 is the task: the sum modulo 10."""
TASK = 4
LAYERS = ("encoder", "bottleneck", "middle 1", "middle 2", "top", "head")
PAIRS = 4000


class SixLayers(nn.Module):
    """Six layers: two that encode each picture, two in the middle, one that learns the output language, and the head."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((64, 128), (128, 6), (12 + TASK + 1, 128), (128, 128), (128 + 2, 128), (128, 20))
        self.layers = nn.ModuleList(nn.Linear(*size) for size in sizes)

    def forward(self, pictures: Tensor, operation: Tensor, language: Tensor, noise: float = 0.0) -> Tensor:
        """pictures: (batch, 2, 64). Returns (batch, 20): ten answers in each language."""
        encoder, bottleneck, first, second, top, head = self.layers
        codes = bottleneck(encoder(pictures).relu()).tanh()
        codes = codes + noise * torch.randn_like(codes)
        middle = first(torch.cat([codes.flatten(1), nn.functional.one_hot(operation, TASK + 1)], 1)).relu()
        middle = middle + second(middle).relu()
        middle = middle + top(torch.cat([middle, nn.functional.one_hot(language, 2)], 1)).relu()
        return head(middle)  # type: ignore[no-any-return]


def answer(one: Tensor, two: Tensor, operation: Tensor) -> Tensor:
    """The digit that each operation gives."""
    results = torch.stack([one, two, (one + 1) % 10, torch.maximum(one, two), (one + two) % 10])
    return results.gather(0, operation[None])[0]


class Digits:
    """Pictures by language: 600 upright and 60 turned ones for the base, 1,300 of each for the experts, the rest unseen."""

    def __init__(self) -> None:
        images, labels = load_digits()
        order = torch.randperm(len(labels))
        upright = images[order] / 16
        self.pictures = torch.stack([upright, upright.rot90(1, (1, 2))]).flatten(2)
        self.labels = labels[order]

    def batch(self, size: int, operation: Tensor, languages: Sequence[Tensor], limits: tuple[int, int], start: int = 0) -> Any:
        """(pictures, operation, output language, target); languages of both inputs and of the output."""
        ends = torch.tensor(limits)
        places = [start + (torch.rand(size) * (ends[language] - start)).long() for language in languages[:2]]
        pictures = torch.stack([self.pictures[language, place] for language, place in zip(languages, places, strict=False)], 1)
        one, two = (self.labels[place] for place in places)
        return pictures, operation, languages[2], answer(one, two, operation) + 10 * languages[2]


def _train(model: SixLayers, steps: int, rate: float, draw: Callable[[], Any]) -> State:
    """Steps of Adam on pairs that are drawn, with noise on the codes; the rate falls along a half cosine."""

    def loss(model: Any, batch: Any) -> Tensor:
        *seen, target = batch
        return nn.functional.cross_entropy(model(*seen, 0.2), target)

    optimizer = torch.optim.Adam(model.parameters(), rate)
    fit(model, Batches.drawn(draw), loss, optimizer=optimizer, schedule="cosine", steps=steps)
    return copied(model)


def experts(seed: int) -> tuple[Digits, dict[str, State]]:
    """The pictures, and the weights of the base and of both experts."""
    with seeded(seed, single_thread=True):
        digits, base = Digits(), SixLayers()

        def general(size: int) -> Tensor:
            return torch.randint(OPERATIONS, (size,))

        def mixed() -> Any:
            operation = torch.cat([general(128), torch.full((6,), TASK)])
            languages = tuple((torch.rand(134) < 0.2).long() for _ in range(3))
            return digits.batch(134, operation, languages, (600, 60))

        def alike(language: int, operation: Tensor) -> Any:
            return digits.batch(128, operation, (torch.full((128,), language),) * 3, (1300, 1300))

        found = {"base": _train(base, 1500, 2e-3, mixed)}
        for name, draw in (("task", lambda: alike(0, torch.full((128,), TASK))), ("language", lambda: alike(1, general(128)))):
            expert = SixLayers()
            expert.load_state_dict(found["base"])
            found[name] = _train(expert, 300, 5e-4, draw)
    return digits, found


def accuracy(weights: State, digits: Digits, language: int = 1, operation: int = TASK) -> float:
    """Share of right answers on pairs of unseen pictures in one language."""
    model = SixLayers()
    model.load_state_dict(weights)
    with seeded(0, single_thread=True), torch.no_grad():
        one = torch.full((PAIRS,), language)
        size = len(digits.labels)
        pictures, op, out, target = digits.batch(PAIRS, torch.full((PAIRS,), operation), (one,) * 3, (size, size), start=1300)
        return float((model(pictures, op, out).argmax(1) == target).float().mean())
