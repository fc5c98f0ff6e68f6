"""What Matters for Model Merging at Scale?: Yadav et al. 2024, arXiv 2410.03617.

The study as a harness: factors (quality of the base, width of the network, number of experts) by methods; each merge is scored on
held-in tasks relative to the experts and on held-out tasks relative to the base, with the coefficient chosen on validation
splits of held-in tasks only.

Claims: a stronger base merges better (Q1), a larger model merges better (Q2), more experts cost performance and cost less in a larger
model (Q4), and methods come closer to each other as the model grows (Q5). Whether the merge generalises to held-out tasks (Q3) is
reported: here held-out symmetries conflict with held-in ones, so a good base loses by merging, and ratios over a weak
base flatter. The step from width 128 to 512 brings 4 points over seeds 0 to 2, near the experts' ceiling, so only its sign is a check.
Controls: copies of the base as experts, for which nothing may have an effect; and experts of other tasks than those that are
scored, which must lose.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..harness.checks import above, at_least, claim, control, exactly, invariant, report
from ..harness.experiment import Experiment
from ..harness.measures import Measure, average, largest, smallest, value
from ..harness.rows import Row
from ..worlds.classifiers import State, Suite, accuracy, flat, mean_accuracy, prepare_flat, tuned
from ..worlds.digits import make_suite

HELD_IN, HELD_OUT = (0, 1, 2, 3), (4, 5, 6, 7)
SCALES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)
METHODS: dict[str, dict[str, Any]] = {
    "averaging": {"method": "task_arithmetic", "normalize": True},
    "task arithmetic": {"method": "task_arithmetic"},
    "TIES": {"method": "ties", "density": 0.2},
    "DARE-TIES": {"method": "dare_ties", "density": 0.5, "normalize": True},
}
SETTINGS = ((20, 128), (60, 32), (60, 128), (60, 512), (200, 128))
"""(images a task that the base has seen, width)."""
EXPERTS = (2, 4)
COPIES, STRANGERS = "copies of the base", "other tasks' experts"


def run(seed: int) -> list[Row]:
    """One row a setting, number of experts and method."""
    return [row for images, width in SETTINGS for row in study(seed, images, width)]


def named(images: int, width: int, k: int) -> str:
    """What a condition's name begins with."""
    return f"base {images}, width {width}, k={k}"


def study(seed: int, images: int, width: int) -> list[Row]:
    """All methods on two experts, drawn by the seed, and on all four; and the controls on all four."""
    suite = make_suite(seed, width=width, base_images=images, experts=len(HELD_IN))
    random = np.random.default_rng(seed)
    rows = []
    for k in EXPERTS:
        chosen = tuple(sorted(random.choice(len(HELD_IN), k, replace=False).tolist()))
        members = [suite.experts[i] for i in chosen]
        facts = {"images": images, "width": width, "k": k, **diagnostics(suite.base, members)}
        name = named(images, width, k)
        for method in METHODS:
            rows.append({"condition": f"{name}, {method}", "method": method, **facts, **score(suite, members, chosen, method, seed)})
        if k == 2:
            others = tuple(i for i in HELD_IN if i not in chosen)
            rows.append({"condition": f"{name}, {STRANGERS}", **facts, **score(suite, members, others, "averaging", seed)})
        rows.append({"condition": f"{name}, {COPIES}", **facts, **score(suite, [suite.base] * k, chosen, "task arithmetic", seed)})
    return rows


def score(suite: Suite, members: Sequence[State], tasks: Sequence[int], method: str, seed: int) -> Row:
    """Merge and score: held-in over the tasks' experts, held-out over the base; raw figures beside both."""
    began = time.perf_counter()
    found = prepare_flat(members, suite.base, seed=seed, **METHODS[method])
    seconds = time.perf_counter() - began
    scale, merged = tuned(found, (1.0,) if method == "averaging" else SCALES, suite, tasks)
    inside = {f"task {i}": [(accuracy(merged, suite.test[i]), accuracy(suite.experts[i], suite.test[i]))] for i in tasks}
    outside = {f"task {i}": [(accuracy(merged, suite.test[i]), accuracy(suite.base, suite.test[i]))] for i in HELD_OUT}
    return {
        "held_in": aggregate(inside),
        "held_out": aggregate(outside),
        "raw_in": mean_accuracy(merged, [suite.test[i] for i in tasks]),
        "raw_out": mean_accuracy(merged, [suite.test[i] for i in HELD_OUT]),
        "scale": scale,
        "seconds": seconds,
    }


def aggregate(categories: Mapping[str, Sequence[tuple[float, float]]]) -> float:
    """Mean over categories of the mean over their data sets of score / normaliser.

    A normaliser under 0.02 would make any ratio large; there the difference is taken instead.

    >>> aggregate({"a": [(0.9, 1.0), (0.7, 1.0)], "b": [(1.0, 1.0)]})
    0.9
    """
    return float(np.mean([np.mean([s / n if n >= 0.02 else s - n for s, n in sets]) for sets in categories.values()]))


def diagnostics(base: State, members: Sequence[State]) -> Row:
    """What can be said before merging: cosines of task vectors, their size, conflicts of sign, heaviness of tails."""
    start = flat(base)["all"].double().numpy()
    deltas = [flat(m)["all"].double().numpy() - start for m in members]
    pairs = list(combinations(deltas, 2))
    return {
        "cosine": float(np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs])),
        "relative_size": float(np.mean([np.linalg.norm(d) / np.linalg.norm(start) for d in deltas])),
        "sign_conflict": float(np.mean([np.mean(np.sign(a) * np.sign(b) < 0) for a, b in pairs])),
        "kurtosis": float(np.mean([np.mean((d - d.mean()) ** 4) / np.var(d) ** 2 for d in deltas])),
    }


def _mean(column: str, images: int, width: int, experts: Sequence[int] = EXPERTS, methods: Sequence[str] = tuple(METHODS)) -> Measure:
    """Over the merges of one setting."""
    return average(*(f"{named(images, width, k)}, {method}" for k in experts for method in methods), column=column)


def _drop(width: int) -> Measure:
    """What more experts cost."""
    return _mean("held_in", 60, width, (2,)) - _mean("held_in", 60, width, (4,))


def _spread(width: int) -> Measure:
    """How far methods are apart."""
    means = [_mean("held_in", 60, width, methods=(method,)) for method in METHODS]
    return largest(*means) - smallest(*means)


CHECKS = (
    *(
        claim(name, _mean("held_in", *high) - _mean("held_in", *low), at_least(least, "on average"), above(0))
        for name, low, high, least in (
            ("Q1 held-in, base of 60 images - of 20", (20, 128), (60, 128), 0.05),
            ("Q1 held-in, base of 200 images - of 60", (60, 128), (200, 128), 0.05),
            ("Q2 held-in, width 128 - 32", (60, 32), (60, 128), 0.05),
            ("Q2 held-in, width 512 - 128", (60, 128), (60, 512), 0.0),
        )
    ),
    *(claim(f"Q4 held-in lost from 2 to 4 experts, width {width}", _drop(width), above(0, "on average")) for width in (32, 128, 512)),
    claim("Q4 that loss, width 32 - 512", _drop(32) - _drop(512), above(0, "on average")),
    claim("Q5 spread of methods, width 32 - 512", _spread(32) - _spread(512), above(0, "on average")),
    report("Q3 held-out / base, weakest base", _mean("held_out", 20, 128)),
    report("Q3 held-out / base, strongest base", _mean("held_out", 200, 128)),
    invariant(
        "copies of the base: held-out / base - 1",
        largest(*(abs(value(f"{named(*setting, k)}, {COPIES}", "held_out") - 1) for setting in SETTINGS for k in EXPERTS)),
        exactly(0),
    ),
    control(
        "other tasks' experts: held-in lost",
        average(*(f"{named(*setting, 2)}, averaging" for setting in SETTINGS))
        - average(*(f"{named(*setting, 2)}, {STRANGERS}" for setting in SETTINGS)),
        at_least(0.1),
    ),
)

EXPERIMENT = Experiment(
    claim="stronger bases and larger models merge better (+), more experts cost less and methods differ less in larger models",
    data="real: scikit-learn's digits under the eight symmetries of the square, experts fine-tuned here on four of them",
    run=run,
    checks=CHECKS,
    columns=("held_in", "held_out", "raw_in", "raw_out", "scale", "sign_conflict", "kurtosis"),
)
