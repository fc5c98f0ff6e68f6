"""Fine-tuning large language models for domain adaptation (its part on SLERP): Lu, Luu and Buehler 2024, arXiv 2409.03444.

Claim: SLERP of two models that were trained from one base on different things is better at both than either parent.

Parents are two experts of one base, scored on both tasks. Control: parents trained from different random starts (the second on its own
split of the images), whose merge must be worse than they are. Reported: other fractions of the arc, and the straight line instead:
here the two are the same to within a tenth of a point, since the parents' norms are equal and their angle is small. The paper's
schedule over depth for attention and feed-forward layers is examples/recipes/slerp-gradient.yml; there are no such layers here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .harness import Check, Experiment, Row, per_seed
from .suite import State, Suite, make_suite, mean_accuracy

TASKS = 2
FRACTIONS = (0.3, 0.5, 0.7)


def run(seed: int) -> list[Row]:
    """Accuracy over both tasks of the parents and of what lies between them."""
    from ..engine.members import merge

    suite = make_suite(seed, experts=TASKS)
    rows = [*_parents(suite, ""), *(_row(f"SLERP {t:g}", _slerp(suite.experts, t), suite) for t in FRACTIONS)]
    rows.append(_row("straight line", merge(suite.experts, method="linear"), suite))
    strangers = [suite.experts[0], make_suite(seed + 1000, experts=TASKS).experts[1]]
    other = Suite(suite.base, strangers, suite.validation, suite.test)
    rows += [*_parents(other, ", of two starts"), _row("SLERP 0.5, of two starts", _slerp(strangers, 0.5), other)]
    return [*rows, {"condition": "between the parents", **likeness(*suite.experts)}]


def _parents(suite: Suite, words: str) -> list[Row]:
    return [_row(f"parent {i + 1}{words}", model, suite) for i, model in enumerate(suite.experts[:TASKS])]


def _row(condition: str, model: State, suite: Suite) -> Row:
    return {"condition": condition, "accuracy": mean_accuracy(model, suite.test[:TASKS])}


def _slerp(parents: Sequence[State], t: float) -> dict[str, Any]:
    from ..engine.members import merge

    return merge([parents[1]], method="slerp", base=parents[0], t=t)


def likeness(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """The least cosine of a tensor between two models, and the largest ratio of their norms."""
    cosines, ratios = [], []
    for name in one:
        a, b = (np.asarray(model[name], np.float64).ravel() for model in (one, other))
        cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        ratios.append(float(np.linalg.norm(a) / np.linalg.norm(b)))
    return {"cosine": min(cosines), "norm_ratio": max(max(r, 1 / r) for r in ratios)}


def judge(rows: Sequence[Row]) -> list[Check]:
    """The gain over the better parent, with one start and with two."""

    def gain(merged: str, words: str = "") -> tuple[float, ...]:
        return per_seed(rows, lambda by: by[merged]["accuracy"] - max(by[f"parent {i}{words}"]["accuracy"] for i in (1, 2)))

    got, lost = gain("SLERP 0.5"), gain("SLERP 0.5, of two starts", ", of two starts")
    line = per_seed(rows, lambda by: by["SLERP 0.5"]["accuracy"] - by["straight line"]["accuracy"])
    checks = [
        Check("SLERP 0.5 - better parent", ">= +0.10 each", got, min(got) >= 0.10),
        Check("parents from two starts: SLERP 0.5 - better parent", "< 0 each", lost, max(lost) < 0, "control"),
        Check("SLERP 0.5 - straight line", "no claim", line, True, "report"),
    ]
    checks += [Check(f"SLERP {t:g} - better parent", "no claim", gain(f"SLERP {t:g}"), True, "report") for t in (0.3, 0.7)]
    for column, words in (("cosine", "least cosine of a tensor between the parents"), ("norm_ratio", "largest ratio of norms")):
        checks.append(Check(words, "no claim", _between(rows, column), True, "report"))
    return checks


def _between(rows: Sequence[Row], column: str) -> tuple[float, ...]:
    return per_seed(rows, lambda by: float(by["between the parents"][column]))


EXPERIMENT = Experiment(
    paper=49,
    claim="SLERP of two fine-tunes of one base is better than either parent on what both were trained for (+)",
    data="real: scikit-learn's digits under two symmetries of the square, experts fine-tuned here",
    run=run,
    judge=judge,
    columns=("accuracy", "cosine", "norm_ratio"),
)
