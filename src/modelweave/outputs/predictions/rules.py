"""What an ensemble does with its members' predictions. NumPy alone: a saved ensemble needs nothing else to predict.

Each rule takes `members`, one array (rows,) or (rows, columns) a member, in the order it was fitted with. A row that a member does not
cover is NaN there; the rule then goes by the others. A row that no member covers stays NaN. segments: a word a row, for rules that differ
between parts of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TINY = 1e-15
ROWS_AT_ONCE = 1 << 15
"""Rows in work at a time, so that no copy of all members is made."""


@dataclass(frozen=True)
class Linear:
    """sum_j w_j p_j. Over the members that cover a row the weights are stretched to the same sum.

    Attributes:
        weights: one a member, or one a member and column.
        normalise: whether rows are made to sum to 1.

    >>> Linear((0.25, 0.75))([np.array([0.0, 1.0]), np.array([1.0, 0.0])]).tolist()
    [0.75, 0.25]
    """

    weights: tuple[Any, ...]
    normalise: bool = False
    kind: ClassVar[str] = "linear"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        weights = np.asarray(self.weights, np.float64)
        return in_blocks(members, lambda block, _: self._sum(block, weights))

    def _sum(self, members: Sequence[Array], weights: Array) -> Array:
        total = np.zeros(members[0].shape)
        for weight, values in zip(weights, members, strict=True):
            if np.any(weight):
                total += weight * values
        if np.isnan(total).any() or not np.any(weights):
            total = _over_present(members, weights)
        if self.normalise:
            total = np.maximum(total, 0)
            sums = total.sum(axis=1, keepdims=True)
            total = np.where(sums == 0, 1 / len(total[0]), total / np.where(sums == 0, 1, sums))
        return total


def _over_present(members: Sequence[Array], weights: Array) -> Array:
    """The sum with each row's weights stretched over the members that cover it, equal ones where those have none."""
    stack = np.stack(members)
    # weights and presence as (members, rows or 1, columns or 1), against predictions (members, rows, columns)
    here = ~np.isnan(stack.reshape(len(stack), stack.shape[1], -1)[:, :, :1])
    wide = weights.reshape(len(stack), 1, -1)
    kept = np.where(here, wide, 0.0)
    sums = kept.sum(axis=0)
    kept = np.where(sums == 0, 1.0 * here, kept)
    whole = np.where(wide.sum(axis=0) == 0, 1.0, wide.sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = kept * (whole / kept.sum(axis=0))
    filled = np.where(here, stack.reshape(len(stack), stack.shape[1], -1), 0.0)
    total = np.sum(kept * filled, axis=0).reshape(stack.shape[1:])
    return _blank(total, ~here.any(axis=0)[:, 0])


def _blank(values: Array, missing: Any) -> Array:
    values[missing] = np.nan
    return values


@dataclass(frozen=True)
class Pooled:
    """Members of equal rank: `median` (rows renormalised) or `geometric`, the mean of logarithms, which is the mean of logits.

    weights: of the geometric mean.
    """

    how: str
    probabilities: bool = True
    weights: tuple[float, ...] | None = None
    kind: ClassVar[str] = "pooled"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        return in_blocks(members, lambda block, _: self._pool(block))

    def _pool(self, members: Sequence[Array]) -> Array:
        stack = np.stack([values.astype(np.float64) for values in members])
        lone = np.isnan(stack).all(axis=0).reshape(len(stack[0]), -1).any(axis=1)
        stack[:, lone] = 0.5
        binary = self.probabilities and stack.ndim == 2
        if self.how == "median":
            pooled = np.nanmedian(stack, axis=0)
        elif binary:
            odds = np.log(np.maximum(stack, TINY)) - np.log(np.maximum(1 - stack, TINY))
            pooled = 1 / (1 + np.exp(-self._mean(odds)))
        else:
            pooled = np.exp(self._mean(np.log(np.maximum(stack, TINY))))
        if self.probabilities and not binary:
            pooled = pooled / np.maximum(pooled.sum(axis=1, keepdims=True), TINY)
        return _blank(pooled, lone)

    def _mean(self, stack: Array) -> Array:
        weights = np.ones(len(stack)) if self.weights is None else np.asarray(self.weights)
        wide = np.where(np.isnan(stack), 0.0, weights.reshape(-1, *[1] * (stack.ndim - 1)))
        mean: Array = np.sum(wide * np.nan_to_num(stack), axis=0) / wide.sum(axis=0)
        return mean


@dataclass(frozen=True)
class RankMean:
    """The mean of the members' ranks among the values they were fitted on, in [0, 1]. A score to sort by, not a probability.

    knots: of each member, values in rising order; a value's rank is its place between them.
    """

    knots: tuple[tuple[float, ...], ...]
    kind: ClassVar[str] = "rank_mean"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        places = [_place(values, np.asarray(knots)) for values, knots in zip(members, self.knots, strict=True)]
        return Linear(tuple([1 / len(places)] * len(places)))(places)


def _place(values: Array, knots: Array) -> Array:
    steps = max(len(knots) - 1, 1)
    # a value that many knots share stands in their middle
    edges = np.arange(len(knots))
    unique, first = np.unique(knots, return_index=True)
    last = np.r_[first[1:], len(knots)] - 1
    placed: Array = np.interp(values, unique, (edges[first] + edges[last]) / 2 / steps)
    return np.where(np.isnan(values), np.nan, placed)


@dataclass(frozen=True)
class Stacker:
    """A linear model on all members at once. link: `softmax` and `sigmoid` on the members' log-probabilities or logits, `identity`.

    coefficients: (outputs, features), features member by member and column by column.
    """

    link: str
    coefficients: tuple[tuple[float, ...], ...]
    intercept: tuple[float, ...]
    kind: ClassVar[str] = "stacker"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        return in_blocks(members, lambda block, _: self._predict(block))

    def _predict(self, members: Sequence[Array]) -> Array:
        features = stacker_features(members, self.link)
        scores: Array = features @ np.asarray(self.coefficients).T + np.asarray(self.intercept)
        if self.link == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-scores[:, 0])))
        if self.link == "softmax":
            return softmax(scores)
        return scores if members[0].ndim == 2 else scores[:, 0]


def stacker_features(members: Sequence[Array], link: str) -> Array:
    """(rows, features): logits, log-probabilities or values; a member that does not cover a row counts as the others' mean."""
    columns = [values.astype(np.float64) for values in members]
    if link == "sigmoid":
        columns = [np.log(np.clip(p, 1e-6, 1)) - np.log(np.clip(1 - p, 1e-6, 1)) for p in columns]
    elif link == "softmax":
        columns = [np.log(np.clip(p, 1e-6, 1)) for p in columns]
    if any(np.isnan(c).any() for c in columns):
        stack = np.stack(columns)
        there = ~np.isnan(stack)
        mean = np.where(there, stack, 0).sum(axis=0) / np.where(there.any(axis=0), there.sum(axis=0), np.nan)
        columns = [np.where(np.isnan(c), mean, c) for c in columns]
    features: Array = np.column_stack(columns)
    return features


@dataclass(frozen=True)
class BySegment:
    """A rule for each segment, and one for rows of others."""

    rules: Mapping[str, Linear]
    otherwise: Linear
    kind: ClassVar[str] = "by_segment"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        result = self.otherwise(members)
        if segments is None:
            return result
        words = np.asarray(segments).astype(str)
        for word, rule in self.rules.items():
            inside = words == word
            if inside.any():
                result[inside] = rule([values[inside] for values in members])
        return result


@dataclass(frozen=True)
class Gate:
    """Weights that depend on the row: softmax of a linear function of how sure each member is.

    coefficients: (members, features); features: each member's `sureness`, centred and scaled.
    """

    coefficients: tuple[tuple[float, ...], ...]
    intercept: tuple[float, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    probabilities: bool = True
    kind: ClassVar[str] = "gate"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        return in_blocks(members, lambda block, _: self._predict(block))

    def _predict(self, members: Sequence[Array]) -> Array:
        features = (sureness(members, self.probabilities) - np.asarray(self.centre)) / np.asarray(self.spread)
        scores = np.nan_to_num(features) @ np.asarray(self.coefficients).T + np.asarray(self.intercept)
        present = np.column_stack([~np.isnan(values if values.ndim == 1 else values[:, 0]) for values in members])
        weights = softmax(np.where(present, scores, -np.inf))
        total = np.zeros(members[0].shape)
        for j, values in enumerate(members):
            share = weights[:, j] if values.ndim == 1 else weights[:, j : j + 1]
            total += np.where(share > 0, share * values, 0)
        return _blank(total, ~present.any(axis=1))


def sureness(members: Sequence[Array], probabilities: bool) -> Array:
    """(rows, members): the logarithm of the odds of the likelier class; of values, the distance from the members' mean."""
    if not probabilities:
        stack = np.stack([_flat(values) for values in members])
        count = (~np.isnan(stack)).sum(axis=0)
        mean = np.divide(np.nansum(stack, axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
        return np.asarray(np.abs(stack - mean).T)
    tops = np.column_stack([np.maximum(p, 1 - p) if p.ndim == 1 else p.max(axis=1) for p in members]).astype(np.float64)
    odds: Array = np.log(np.clip(tops, 1e-6, 1)) - np.log(np.clip(1 - tops, 1e-6, 1))
    return odds


def _flat(values: Array) -> Array:
    flat: Array = values.astype(np.float64) if values.ndim == 1 else values.mean(axis=1)
    return flat


@dataclass(frozen=True)
class Tempered:
    """Another rule's probabilities at a temperature: p^(1/T), renormalised. T above 1 makes them less sure."""

    rule: Any
    temperature: float
    kind: ClassVar[str] = "tempered"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        return temper(self.rule(members, segments), self.temperature)


@dataclass(frozen=True)
class OnTempered:
    """A rule on members that are each brought to a temperature first."""

    rule: Any
    temperatures: tuple[float, ...]
    kind: ClassVar[str] = "on_tempered"

    def __call__(self, members: Sequence[Array], segments: Array | None = None) -> Array:
        tempered: Array = self.rule([temper(p, t) for p, t in zip(members, self.temperatures, strict=True)], segments)
        return tempered


def temper(p: Array, temperature: float) -> Array:
    """Probabilities (n,) of the second class or (n, classes), at a temperature."""
    if p.ndim == 1:
        odds = np.log(np.maximum(p, TINY)) - np.log(np.maximum(1 - p, TINY))
        return np.asarray(1 / (1 + np.exp(-odds / temperature)))
    return softmax(np.log(np.maximum(p, TINY)) / temperature)


def softmax(scores: Array) -> Array:
    """Along the last axis; a row without a finite score is NaN."""
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isfinite(top), top, 0))
    sums = powers.sum(axis=-1, keepdims=True)
    result: Array = powers / np.where(sums > 0, sums, np.nan)
    return result


def in_blocks(members: Sequence[Array], step: Callable[[Sequence[Array], slice], Array]) -> Array:
    """The results of `step` on blocks of rows, one below the other."""
    rows = len(members[0])
    if rows <= ROWS_AT_ONCE:
        return step(members, slice(0, rows))
    cuts = [slice(at, at + ROWS_AT_ONCE) for at in range(0, rows, ROWS_AT_ONCE)]
    first = step([values[cuts[0]] for values in members], cuts[0])
    result = np.empty((rows, *first.shape[1:]), first.dtype)
    result[cuts[0]] = first
    for cut in cuts[1:]:
        result[cut] = step([values[cut] for values in members], cut)
    return result


RULES: dict[str, Callable[..., Any]] = {
    rule.kind: rule for rule in (Linear, Pooled, RankMean, Stacker, BySegment, Gate, Tempered, OnTempered)
}


def rule_to_json(rule: Any) -> dict[str, Any]:
    """Plain data."""
    plain = {"kind": rule.kind, **asdict(rule)}
    for key in ("rule", "otherwise"):
        if key in plain:
            plain[key] = rule_to_json(getattr(rule, key))
    if "rules" in plain:
        plain["rules"] = {word: rule_to_json(one) for word, one in rule.rules.items()}
    return plain


def rule_from_json(data: Mapping[str, Any]) -> Any:
    """What `rule_to_json` wrote."""
    fields = {key: value for key, value in data.items() if key != "kind"}
    for key in ("rule", "otherwise"):
        if key in fields:
            fields[key] = rule_from_json(fields[key])
    if "rules" in fields:
        fields["rules"] = {word: rule_from_json(one) for word, one in fields["rules"].items()}
    return RULES[data["kind"]](**{key: _tuples(value) for key, value in fields.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
