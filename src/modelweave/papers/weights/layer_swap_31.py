"""Layer Swapping for Zero-Shot Cross-Lingual Transfer in Large Language Models: Bandarkar et al. 2024, arXiv 2410.01335.

Claim: a task expert with its outer layers replaced by those of a language expert does the task in that language better than either
expert, or than their average.

The toy keeps the paper's premise, a shared code between the outer layers: two pictures of digits are encoded through a bottleneck of six
numbers, an operation is applied, and the answer is named in one of two output languages. Language A shows digits upright, B
turned; the base has seen B little, and the task, the sum modulo ten, hardly at all. The task expert learns the sum in A, the language
expert the other operations in B. Control: the swap the other way round (the language expert's middle in the task expert's
shell) must lose to the base too. Reported: transition layers, and where each expert changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..harness.checks import at_least, below, claim, control, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, largest, value
from ..harness.rows import Row
from ..worlds.digits import quiet_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

OPERATIONS = 4
"""first, second, first + 1 modulo 10, and the larger; number 4 is the task: the sum modulo 10."""
TASK = 4
LAYERS = ("encoder", "bottleneck", "middle 1", "middle 2", "top", "head")
SWAP: dict[str, Any] = {"bottom": 2, "top": 1, "transition_bottom": 0, "transition_top": 0}
PAIRS = 4000


def network() -> nn.Module:
    """Six layers: two that encode each picture, two in the middle, one that learns the output language, and the head."""
    import torch
    from torch import nn

    class Network(nn.Module):
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

    return Network()


def answer(one: Tensor, two: Tensor, operation: Tensor) -> Tensor:
    """The digit that each operation gives."""
    import torch

    results = torch.stack([one, two, (one + 1) % 10, torch.maximum(one, two), (one + two) % 10])
    return results.gather(0, operation[None])[0]


class Digits:
    """Pictures by language: 600 upright and 60 turned ones for the base, 1,300 of each for the experts, the rest unseen."""

    def __init__(self) -> None:
        import torch
        from sklearn.datasets import load_digits

        found = load_digits()
        order = torch.randperm(len(found.target))
        upright = torch.tensor(found.images, dtype=torch.float32)[order] / 16
        self.pictures = torch.stack([upright, upright.rot90(1, (1, 2))]).flatten(2)
        self.labels = torch.tensor(found.target)[order]

    def batch(self, size: int, operation: Tensor, languages: Sequence[Tensor], limits: tuple[int, int], start: int = 0) -> Any:
        """(pictures, operation, output language, target); languages of both inputs and of the output."""
        import torch

        ends = torch.tensor(limits)
        places = [start + (torch.rand(size) * (ends[language] - start)).long() for language in languages[:2]]
        pictures = torch.stack([self.pictures[language, place] for language, place in zip(languages, places, strict=False)], 1)
        one, two = (self.labels[place] for place in places)
        return pictures, operation, languages[2], answer(one, two, operation) + 10 * languages[2]


def _train(model: nn.Module, steps: int, rate: float, draw: Any) -> nn.Module:
    import torch

    optimizer = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        pictures, operation, language, target = draw()
        loss: Any = torch.nn.functional.cross_entropy(model(pictures, operation, language, 0.2), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


def experts(seed: int) -> tuple[Digits, dict[str, dict[str, Tensor]]]:
    """The pictures, and the weights of the base and of both experts."""
    import torch

    with quiet_torch(seed):
        digits, base = Digits(), network()

        def general(size: int) -> Tensor:
            return torch.randint(OPERATIONS, (size,))

        def mixed() -> Any:
            operation = torch.cat([general(128), torch.full((6,), TASK)])
            languages = tuple((torch.rand(134) < 0.2).long() for _ in range(3))
            return digits.batch(134, operation, languages, (600, 60))

        def alike(language: int, operation: Tensor) -> Any:
            return digits.batch(128, operation, (torch.full((128,), language),) * 3, (1300, 1300))

        _train(base, 1500, 2e-3, mixed)
        found = {"base": _weights(base)}
        for name, draw in (("task", lambda: alike(0, torch.full((128,), TASK))), ("language", lambda: alike(1, general(128)))):
            expert = network()
            expert.load_state_dict(found["base"])
            found[name] = _weights(_train(expert, 300, 5e-4, draw))
    return digits, found


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def accuracy(weights: dict[str, Tensor], digits: Digits, language: int = 1, operation: int = TASK) -> float:
    """Share of right answers on pairs of unseen pictures in one language."""
    import torch

    model = network()
    model.load_state_dict(weights)
    with quiet_torch(0), torch.no_grad():
        one = torch.full((PAIRS,), language)
        size = len(digits.labels)
        pictures, op, out, target = digits.batch(PAIRS, torch.full((PAIRS,), operation), (one,) * 3, (size, size), start=1300)
        return float((model(pictures, op, out).argmax(1) == target).float().mean())


def run(seed: int) -> list[Row]:
    """Accuracy of the sum in language B, unseen pictures; and each expert's relative change by layer."""
    from ...engine.members import merge

    digits, found = experts(seed)
    task, language, base = found["task"], found["language"], found["base"]
    merged = {
        "base": base,
        "task expert": task,
        "language expert": language,
        "average": merge([task, language], method="linear"),
        "TIES": merge([task, language], method="ties", base=base, density=0.2),
        "swap": merge([task, language], method="layer_swap", **SWAP),
        "swap with transitions": merge([task, language], method="layer_swap", bottom=2, top=1, transition_bottom=1, transition_top=1),
        "swap the other way round": merge([language, task], method="layer_swap", **SWAP),
    }
    rows: list[Row] = [{"condition": name, "accuracy": accuracy(weights, digits)} for name, weights in merged.items()]
    for i, layer in enumerate(LAYERS):
        moved = {name: _moved(base, found[name], i) for name in ("task", "language")}
        rows.append({"condition": f"change of {layer}", **moved})
    return rows


def _moved(base: dict[str, Tensor], expert: dict[str, Tensor], layer: int) -> float:
    """Relative change of a layer's weights."""
    name = f"layers.{layer}.weight"
    return float((expert[name] - base[name]).norm() / base[name].norm())


CHECKS = (
    claim("swap - better expert", gap("swap", largest("task expert", "language expert")), at_least(0.08)),
    claim("swap - average", gap("swap", "average"), at_least(0.02)),
    control("the other way round - base", gap("swap the other way round", "base"), below(0)),
    report("swap - TIES", gap("swap", "TIES")),
    report("with transitions - swap", gap("swap with transitions", "swap")),
    *(
        report(
            f"relative change of {layer}: language - task expert",
            value(f"change of {layer}", "language") - value(f"change of {layer}", "task"),
        )
        for layer in (LAYERS[0], LAYERS[3])
    ),
)

EXPERIMENT = Experiment(
    claim="a task expert in a language expert's outer layers does the task in that language better than both, and than their average (+)",
    data="real pictures: scikit-learn's digits, upright and turned; the operations on them and the output languages are made",
    run=run,
    checks=CHECKS,
    columns=("accuracy", "task", "language"),
)
