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

from .harness import Check, Experiment, Row
from .suite import Suite, accuracy, best_scale, flat, make_suite, mean_accuracy, unflat

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


def run(seed: int) -> list[Row]:
    """One row a setting, number of experts and method."""
    return [row for images, width in SETTINGS for row in study(seed, images, width)]


def study(seed: int, images: int, width: int) -> list[Row]:
    """All methods on two experts, drawn by the seed, and on all four; and the controls on all four."""
    suite = make_suite(seed, width=width, base_images=images, experts=len(HELD_IN))
    random = np.random.default_rng(seed)
    rows = []
    for k in (2, 4):
        chosen = tuple(sorted(random.choice(len(HELD_IN), k, replace=False).tolist()))
        members = [suite.experts[i] for i in chosen]
        facts = {"images": images, "width": width, "k": k, **diagnostics(suite.base, members)}
        named = f"base {images}, width {width}, k={k}"
        for method in METHODS:
            rows.append({"condition": f"{named}, {method}", "method": method, **facts, **score(suite, members, chosen, method, seed)})
        if k == 2:
            others = tuple(i for i in HELD_IN if i not in chosen)
            rows.append({"condition": f"{named}, other tasks' experts", **facts, **score(suite, members, others, "averaging", seed)})
        copies = [suite.base] * k
        rows.append({"condition": f"{named}, copies of the base", **facts, **score(suite, copies, chosen, "task arithmetic", seed)})
    return rows


def score(suite: Suite, members: Sequence[Mapping[str, Any]], tasks: Sequence[int], method: str, seed: int) -> Row:
    """Merge and score: held-in over the tasks' experts, held-out over the base; raw figures beside both."""
    from ..engine.members import prepare

    began = time.perf_counter()
    found = prepare([flat(m) for m in members], base=flat(suite.base), seed=seed, **METHODS[method])
    seconds = time.perf_counter() - began
    scales = (1.0,) if method == "averaging" else SCALES
    scale = best_scale(found, scales, [suite.validation[i] for i in tasks], suite.base)
    merged = unflat(found.at(scale), suite.base)
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


def diagnostics(base: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> Row:
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


def judge(rows: Sequence[Row]) -> list[Check]:
    """The five questions as paired differences over seeds."""
    seeds = tuple(dict.fromkeys(row["seed"] for row in rows))

    def mean(column: str, seed: int, **wanted: Any) -> float:
        values = [row[column] for row in rows if row["seed"] == seed and row.get("method") and all(row[k] == v for k, v in wanted.items())]
        return float(np.mean(values))

    def spread(seed: int, **wanted: Any) -> float:
        values = [mean("held_in", seed, method=method, **wanted) for method in METHODS]
        return max(values) - min(values)

    def paired(high: dict[str, Any], low: dict[str, Any]) -> tuple[float, ...]:
        return tuple(mean("held_in", s, **high) - mean("held_in", s, **low) for s in seeds)

    def drop(seed: int, width: int) -> float:
        return mean("held_in", seed, images=60, width=width, k=2) - mean("held_in", seed, images=60, width=width, k=4)

    checks = []
    for low, high in ((20, 60), (60, 200)):
        got = paired({"images": high, "width": 128}, {"images": low, "width": 128})
        checks.append(Check(f"Q1 held-in, base of {high} images - of {low}", ">= +0.05 on average, > 0 each", got, _good(got, 0.05)))
    for low, high, least in ((32, 128, 0.05), (128, 512, 0.0)):
        got = paired({"images": 60, "width": high}, {"images": 60, "width": low})
        checks.append(Check(f"Q2 held-in, width {high} - {low}", f">= {least:+.2f} on average, > 0 each", got, _good(got, least)))
    for width in (32, 128, 512):
        got = tuple(drop(s, width) for s in seeds)
        checks.append(Check(f"Q4 held-in lost from 2 to 4 experts, width {width}", "> 0 on average", got, float(np.mean(got)) > 0))
    got = tuple(drop(s, 32) - drop(s, 512) for s in seeds)
    checks.append(Check("Q4 that loss, width 32 - 512", "> 0 on average", got, float(np.mean(got)) > 0))
    got = tuple(spread(s, images=60, width=32) - spread(s, images=60, width=512) for s in seeds)
    checks.append(Check("Q5 spread of methods, width 32 - 512", "> 0 on average", got, float(np.mean(got)) > 0))
    got = tuple(mean("held_out", s, images=20) for s in seeds)
    checks.append(Check("Q3 held-out / base, weakest base", "no claim", got, True, "report"))
    got = tuple(mean("held_out", s, images=200) for s in seeds)
    checks.append(Check("Q3 held-out / base, strongest base", "no claim", got, True, "report"))
    return checks + _controls(rows, seeds)


def _controls(rows: Sequence[Row], seeds: Sequence[int]) -> list[Check]:
    def of(seed: int, word: str) -> list[Row]:
        return [row for row in rows if row["seed"] == seed and row["condition"].endswith(word)]

    got = tuple(max(abs(row["held_out"] - 1) for row in of(s, "copies of the base")) for s in seeds)
    checks = [Check("copies of the base: held-out / base - 1", "exactly 0", got, all(value == 0 for value in got), "control")]
    lost = []
    for s in seeds:
        right = np.mean([row["held_in"] for row in of(s, "averaging") if row["k"] == 2])
        lost.append(float(right - np.mean([row["held_in"] for row in of(s, "other tasks' experts")])))
    checks.append(Check("other tasks' experts: held-in lost", ">= +0.1 each", tuple(lost), min(lost) >= 0.1, "control"))
    return checks


def _good(values: Sequence[float], least: float) -> bool:
    return float(np.mean(values)) >= least and min(values) > 0


EXPERIMENT = Experiment(
    paper=25,
    claim="stronger bases and larger models merge better (+), more experts cost less and methods differ less in larger models",
    data="real: scikit-learn's digits under the eight symmetries of the square, experts fine-tuned here on four of them",
    run=run,
    judge=judge,
    columns=("held_in", "held_out", "raw_in", "raw_out", "scale", "sign_conflict", "kurtosis"),
)
