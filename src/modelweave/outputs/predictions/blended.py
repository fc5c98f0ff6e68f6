"""The result of a blend: what it weighs, what it predicts, what it knows about itself."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompatibilityError, InputError, ModelweaveWarning, ParameterError
from ...files import write_text
from .calibration import threshold
from .explain import Explanation, explain
from .intake import prepare_members
from .learner import Pick
from .metrics import Metric, Task
from .pool import Array, Pool
from .rules import BySegment, Linear, Stacker, rule_from_json, rule_to_json
from .verdict import CandidateScore, Verdict

FORMAT = "modelweave.blend/1"
OLDER_KEYS = {"nonconformity": "strangeness"}
"""Names under which blends saved before hold what is called otherwise now; `from_json` reads both."""
KNOTS = 1000


@dataclass(frozen=True)
class Blend:
    """An ensemble of predictors, as `modelweave.blend` makes it.

    Attributes:
        names: of the members.
        used: places of those that the rule takes, without copies of others.
        task: `binary`, `multiclass` or `regression`.
        labels: the classes in the order of columns; empty for numbers.
        metric: its name.
        method: the learner's name.
        rule: what predicts.
        weights: of each member, a number; one a column for rules that weigh columns apart.
        trajectory: the rounds of the fit.
        verdict: how it compares on rows left out.
        notes: what a reader should know of the members.
        nonconformity: of rows left out, 1 - probability of the truth or the distance to it, in rising order.
        provenance: of each member's predictions.
        rows: how many it was made from.
        seen: these rows, None for a blend that was loaded.

    >>> import modelweave
    >>> y = np.array([0, 1] * 20)
    >>> found = modelweave.blend({"good": np.where(y == 1, 0.8, 0.3), "coin": np.full(40, 0.5)}, y)
    >>> Blend.from_json(found.to_json()).predict({"good": np.array([0.9]), "coin": np.array([0.5])}).tolist()
    [0.9]
    """

    names: tuple[str, ...]
    used: tuple[int, ...]
    task: Task
    labels: tuple[Any, ...]
    metric: str
    method: str
    rule: Any
    weights: Mapping[str, Any]
    trajectory: tuple[Pick, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    nonconformity: tuple[float, ...] = field(repr=False)
    provenance: Mapping[str, str] = field(repr=False)
    rows: int = 0
    seen: tuple[Pool, Array, Metric] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        parts = (f"{name} {weight:.3f}" for name, weight in self.weights.items() if np.ndim(weight) == 0 and weight)
        return f"{self.verdict}\n{', '.join(parts)}"

    def predict(self, members: Mapping[str, Any], segments: Any = None) -> Array:
        """Predictions of new rows, as the members' arrays are. Of two classes in two columns, two columns.

        Args:
            members: name to predictions. A member that is left out, or NaN in a row, is stood in for by the others.
            segments: (rows,), for per_group.

        Returns:
            (rows,) or (rows, classes).
        """
        arrays = prepare_members(members, self.names, self.task, self.labels)
        p: Array = self.rule([arrays[place] for place in self.used], None if segments is None else np.asarray(segments))
        wide = any(np.ndim(values) == 2 and np.shape(values)[1] == 2 for values in members.values())
        return np.column_stack([1 - p, p]) if self.task == "binary" and wide else p

    def predict_label(self, members: Mapping[str, Any], segments: Any = None) -> Array:
        """The most probable label of each row.

        Args:
            members: name to predictions.
            segments: (rows,), for per_group.

        Raises:
            ParameterError: for predictions of numbers.
        """
        if not self.labels:
            raise ParameterError("predict_label: applies to classes, and these are numbers; use predict")
        p = self.predict(members, segments)
        places = p.argmax(axis=1) if p.ndim == 2 else (p > 0.5).astype(int)
        labels: Array = np.asarray(self.labels)[places]
        return labels

    def predict_set(self, members: Mapping[str, Any], *, alpha: float = 0.1, segments: Any = None, miss: float | None = None) -> Array:
        """Sets that hold the truth with chance of at least 1 - alpha for rows exchangeable with those fitted on.

        Split conformal prediction on the rows left out of folds, for which the chance is 1 - 2 alpha in the worst case and near 1 - alpha
        in practice. Source: Barber et al. 2021, arXiv 1905.02928.

        Args:
            members: name to predictions.
            alpha: in (0, 1), the chance to miss.
            segments: (rows,), for per_group.
            miss: the former name of alpha.

        Returns:
            Of classes: (rows, classes) of flags. Of numbers: (rows, 2), the ends of an interval.

        Raises:
            ParameterError: for alpha.
            CompatibilityError: for a blend without rows left out.
        """
        alpha = named_alpha(alpha, miss)
        if not self.nonconformity:
            raise CompatibilityError("predict_set: the blend was made without rows left out, so there is nothing to go by; give more rows")
        limit = threshold(self.nonconformity, alpha)
        p = self.predict(members, segments)
        if self.task == "regression":
            return np.stack([p - limit, p + limit], axis=-1)
        both = p if p.ndim == 2 else np.column_stack([1 - p, p])
        inside: Array = 1 - both <= limit + 1e-12
        return inside

    def explain(self, *, seed: int = 0) -> Explanation:
        """Each member's part, on the rows the blend was made from; a blend that was loaded has none of them."""
        if self.seen is None:
            raise CompatibilityError("explain: a loaded blend does not hold the rows it was made from; make it again with blend()")
        pool, y, metric = self.seen
        flat = np.array([float(np.mean(value)) for value in self.weights.values()])
        return explain(pool, y, metric, np.maximum(flat, 0), seed=seed)

    def to_json(self) -> str:
        """A JSON text; `Blend.from_json` and NumPy are all that predicting from it takes."""
        return json.dumps(self.to_dict(), indent=1)

    def to_dict(self) -> dict[str, Any]:
        """What `to_json` writes, as plain data."""
        scores = self.nonconformity
        if len(scores) > KNOTS:
            # upper values of even steps, so that sets from the saved blend are never smaller
            places = np.ceil(np.linspace(0, len(scores) - 1, KNOTS)).astype(int)
            scores = tuple(scores[i] for i in places)
        return {
            "format": FORMAT,
            "members": list(self.names),
            "used": list(self.used),
            "task": self.task,
            "labels": [getattr(label, "item", lambda label=label: label)() for label in self.labels],
            "metric": self.metric,
            "method": self.method,
            "rule": rule_to_json(self.rule),
            "weights": dict(self.weights),
            "trajectory": [list(step) for step in self.trajectory],
            "verdict": asdict(self.verdict),
            "notes": list(self.notes),
            "nonconformity": list(scores),
            "provenance": dict(self.provenance),
            "rows": self.rows,
        }

    def save(self, file: str | Path) -> None:
        """Write `to_json`; the file appears whole or not at all."""
        write_text(file, self.to_json() + "\n")

    @classmethod
    def load(cls, file: str | Path) -> Blend:
        """What `save` wrote."""
        try:
            return cls.from_json(Path(file).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from None

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> Blend:
        """What `to_json` or `to_dict` gave.

        Args:
            text: a JSON text, or plain data.

        Raises:
            InputError: for anything else.
        """
        try:
            data = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError as error:
            raise InputError(f"blend: expected JSON, got a text that is none ({error})") from None
        found = data.get("format") if isinstance(data, Mapping) else None
        if found != FORMAT:
            raise InputError(f"blend: expected the format {FORMAT}, got {found!r}")
        verdict = dict(data["verdict"])
        verdict["lines"] = tuple(
            CandidateScore(line["name"], line["score"], line["gain"], tuple(line["interval"]) if line["interval"] else None)
            for line in verdict["lines"]
        )
        return cls(
            names=tuple(data["members"]),
            used=tuple(data["used"]),
            task=data["task"],
            labels=tuple(data["labels"]),
            metric=data["metric"],
            method=data["method"],
            rule=rule_from_json(data["rule"]),
            weights=data["weights"],
            trajectory=tuple(Pick(*step) for step in data["trajectory"]),
            verdict=Verdict(**verdict),
            notes=tuple(data["notes"]),
            nonconformity=tuple(data["nonconformity" if "nonconformity" in data else OLDER_KEYS["nonconformity"]]),
            provenance=data["provenance"],
            rows=data["rows"],
        )


def named_alpha(alpha: float, miss: float | None) -> float:
    """The checked alpha, which was called miss before; with the former name a ModelweaveWarning."""
    if miss is not None:
        warnings.warn("predict_set: miss is called alpha now; pass alpha=", ModelweaveWarning, stacklevel=3)
        alpha = miss
    if not 0 < alpha < 1:
        raise ParameterError(f"alpha: must be between 0 and 1, got {alpha}")
    return alpha


def weights_of(names: Sequence[str], used: Sequence[int], rule: Any) -> dict[str, Any]:
    """A weight for each name: of linear rules their own, of stackers the coefficients, of others equal ones; 0 for copies."""
    inner = rule
    while hasattr(inner, "rule"):
        inner = inner.rule
    if isinstance(inner, BySegment):
        inner = inner.otherwise
    values: Sequence[Any]
    if isinstance(inner, Linear):
        values = inner.weights
    elif isinstance(inner, Stacker):
        table = np.asarray(inner.coefficients).reshape(len(inner.intercept), len(used), -1)
        own = table[:, :, 0] if table.shape[2] == 1 else np.einsum("kjk->kj", table)
        values = [float(v[0]) if len(v) == 1 else tuple(v.tolist()) for v in own.T]
    else:
        values = [1 / len(used)] * len(used)
    found = dict(zip(used, values, strict=True))
    return {name: found.get(place, 0.0) for place, name in enumerate(names)}
