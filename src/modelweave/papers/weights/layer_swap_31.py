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

from typing import Any

from ...engine.members import merge
from ..harness.checks import at_least, below, claim, control, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, largest, value
from ..harness.rows import Row
from ..worlds.classifiers import State
from ..worlds.two_languages import LAYERS, accuracy, experts

SWAP: dict[str, Any] = {"bottom": 2, "top": 1, "transition_bottom": 0, "transition_top": 0}


def run(seed: int) -> list[Row]:
    """Accuracy of the sum in language B, unseen pictures; and each expert's relative change by layer."""
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


def _moved(base: State, expert: State, layer: int) -> float:
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
