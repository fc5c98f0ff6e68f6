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

from ...engine.members import merge
from ..harness.checks import at_least, below, claim, control, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, largest, value
from ..harness.rows import Row
from ..worlds.classifiers import State, Suite, mean_accuracy
from ..worlds.digits import make_suite

TASKS = 2
FRACTIONS = (0.3, 0.5, 0.7)


def run(seed: int) -> list[Row]:
    """Accuracy over both tasks of the parents and of what lies between them."""
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
    return merge([parents[1]], method="slerp", base=parents[0], t=t)


def likeness(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """The least cosine of a tensor between two models, and the largest ratio of their norms."""
    cosines, ratios = [], []
    for name in one:
        a, b = (np.asarray(model[name], np.float64).ravel() for model in (one, other))
        cosines.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        ratios.append(float(np.linalg.norm(a) / np.linalg.norm(b)))
    return {"cosine": min(cosines), "norm_ratio": max(max(r, 1 / r) for r in ratios)}


_PARENTS = largest("parent 1", "parent 2")
_STRANGERS = largest("parent 1, of two starts", "parent 2, of two starts")
CHECKS = (
    claim("SLERP 0.5 - better parent", gap("SLERP 0.5", _PARENTS), at_least(0.10)),
    control("parents from two starts: SLERP 0.5 - better parent", gap("SLERP 0.5, of two starts", _STRANGERS), below(0)),
    report("SLERP 0.5 - straight line", gap("SLERP 0.5", "straight line")),
    *(report(f"SLERP {t:g} - better parent", gap(f"SLERP {t:g}", _PARENTS)) for t in (0.3, 0.7)),
    report("least cosine of a tensor between the parents", value("between the parents", "cosine")),
    report("largest ratio of norms", value("between the parents", "norm_ratio")),
)

EXPERIMENT = Experiment(
    claim="SLERP of two fine-tunes of one base is better than either parent on what both were trained for (+)",
    data="real: scikit-learn's digits under two symmetries of the square, experts fine-tuned here",
    run=run,
    checks=CHECKS,
    columns=("accuracy", "cosine", "norm_ratio"),
)
