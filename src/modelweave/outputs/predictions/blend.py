"""Arrays in, ensemble out: `modelweave.blend`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ParameterError, unknown
from ..splits import Split, check_sorted
from .blended import Blend, weights_of
from .calibration import nonconformity, temperature
from .intake import make_pool
from .learner import About, FittedRule, Learner, about
from .metrics import Metric, metric_named
from .pool import Array, Pool, duplicates
from .published import LEARNERS, learner_of
from .rules import OnTempered, Tempered, temper
from .verdict import Verdict, decide, judge, left_out

FEWEST = 20
"""Rows below which nothing can be said about rows left out."""
CALIBRATIONS = ("none", "members", "blend", "both")
CANDIDATES = ("mean", "geometric", "best", "greedy", "simplex", "logistic", "ridge")


def blend(
    members: Mapping[str, Any],
    y: Any,
    *,
    method: str | Learner | Callable[..., FittedRule] = "greedy",
    metric: str | Metric | None = None,
    preset: str | None = None,
    provenance: str | Mapping[str, str] = "out_of_fold",
    labels: Sequence[Any] | None = None,
    groups: Any = None,
    time: Any = None,
    segments: Any = None,
    sample_weight: Any = None,
    folds: int | Split | None = 5,
    calibration: str = "none",
    fall_back: bool | None = None,
    seed: int = 0,
    **options: Any,
) -> Blend:
    """An ensemble of predictors from their predictions alone, and the verdict on whether it is better than its parts.

    The method's rule is fitted in folds and compared, on the rows left out, with the best member (chosen in the same folds) and the
    plain mean. Where it does not beat both, the better of them is returned, unless fall_back is False (as it is with a preset).

    Source: Caruana et al. 2004 for `greedy`; the others as their rows say.

    Args:
        members: name to predictions: (rows, classes) probabilities, (rows,) probabilities of the second class, or numbers; pandas tables
            are matched by column and by index. A row that is NaN throughout is not covered by that member.
        y: (rows,) labels or numbers.
        method: a name in `predictions.LEARNERS`, or `auto`, which chooses among several in folds of its own; or a `Learner`, or its
            function (pool, y, metric, **known) -> FittedRule.
        metric: log_loss (the default for classes), brier, accuracy, roc_auc; rmse (for numbers), mse, mae, r2.
        preset: `autogluon` or `auto_sklearn`: greedy selection exactly as there.
        provenance: `out_of_fold` or `hold_out`, for all or by member; `in_sample` is refused.
        labels: the classes in the order of columns; sorted classes of y by default.
        groups: (rows,) rows of one group are never on both sides of a fold.
        time: (rows,) rows in its order; folds look only back.
        segments: (rows,) a word a row, known when predicting, for per_group.
        sample_weight: (rows,) of each row in the loss.
        folds: of the verdict, a number or a `Split`; None where nothing can be left out, which leaves the method unjudged.
        calibration: a temperature for `members`, the `blend`, `both` or `none`, fitted in the same folds.
        fall_back: whether the better baseline is returned where the method does not beat both.
        seed: of folds and draws.
        options: the method's parameters.

    Raises:
        InputError: for arrays that are no predictions.
        CompatibilityError: for arrays that do not fit each other.
        ParameterError: for options.

    >>> import modelweave
    >>> y = np.array([0, 1] * 20)
    >>> found = modelweave.blend({"good": np.where(y == 1, 0.8, 0.3), "coin": np.full(40, 0.5)}, y)
    >>> found.weights
    {'good': 1.0, 'coin': 0.0}
    """
    learner = _learner(method, preset)
    pool, targets, notes = make_pool(members, y, metric=metric, labels=labels, provenance=provenance)
    chosen = metric_named(metric, pool.task)
    settled = _settled(learner, pool, options, preset, calibration)
    if learner.needs_segments and segments is None and groups is not None:
        segments, groups = groups, None
        notes.append(f"{learner.name}: groups are taken as segments, so that folds run through them; pass segments= to keep both")
    known = about(len(targets), weight=sample_weight, segments=segments, groups=groups, time=time)
    if known.time is not None:
        check_sorted(known.time)
    distinct = _distinct(pool, notes)
    alone = pool.only(distinct)
    fit = partial(_fit, learner, metric=chosen, calibration=calibration, seed=seed, options=settled)
    fall = (preset is None) if fall_back is None else fall_back
    split = folds if folds is None or isinstance(folds, Split) else Split(folds, seed=seed)
    verdict, scores = _verdict(fit, learner, alone, targets, chosen, known, split, fall, seed)
    fitted, optimism = _final(fit, learner, alone, targets, chosen, known, verdict)
    return Blend(
        names=pool.names,
        used=tuple(distinct),
        task=pool.task,
        labels=pool.labels,
        metric=chosen.name,
        method=learner.name,
        rule=fitted.rule,
        weights=weights_of(pool.names, distinct, fitted.rule),
        trajectory=fitted.trajectory,
        verdict=replace(verdict, optimism=optimism),
        notes=(*notes, *([fitted.note] if fitted.note else [])),
        nonconformity=scores,
        provenance=dict(zip(pool.names, pool.provenance, strict=True)),
        rows=len(targets),
        seen=(pool, targets, chosen),
    )


_BASELINE = {"best member": "best", "plain mean": "mean"}


def _learner(method: str | Learner | Callable[..., FittedRule], preset: str | None) -> Learner:
    if method != "auto":
        return learner_of(method)
    if preset is not None:
        raise ParameterError("preset: goes with a method, not with auto")
    return Learner("auto", "the method that is best in folds", "", "", fit=_choose)


def _settled(learner: Learner, pool: Pool, options: Mapping[str, Any], preset: str | None, calibration: str) -> dict[str, Any]:
    """The learner's parameters; ParameterError or CompatibilityError where learner and pool do not go together."""
    if pool.task not in learner.tasks:
        fits = ", ".join(row.name for row in LEARNERS.values() if pool.task in row.tasks)
        raise ParameterError(f"method: {learner.name} does not apply to {pool.task} predictions; those that do: {fits}")
    if calibration not in CALIBRATIONS:
        raise ParameterError("calibration: " + unknown("choice", calibration, CALIBRATIONS))
    if calibration != "none" and not pool.classes:
        raise ParameterError("calibration: applies to probabilities, and these are numbers; use none")
    if learner.learns and not pool.complete.any():
        least = min(range(len(pool.names)), key=lambda i: np.count_nonzero(~np.isnan(pool.values[i])))
        raise CompatibilityError(
            f"members: no row is covered by all {len(pool.names)}, and weights need some; leave out '{pool.names[least]}', "
            "which covers the fewest, or use method='mean'"
        )
    return learner.settle(options, preset)


def _distinct(pool: Pool, notes: list[str]) -> list[int]:
    """Places of members that are no copies of earlier ones; copies are noted."""
    copies = duplicates(pool)
    notes += [f"'{pool.names[place]}' equals '{pool.names[earlier]}'; it counts once" for place, earlier in copies.items()]
    return [place for place in range(len(pool.names)) if place not in copies]


def _final(
    fit: Any, learner: Learner, pool: Pool, y: Array, metric: Metric, known: About, verdict: Verdict
) -> tuple[FittedRule, float | None]:
    """What the verdict chose, fitted on all rows; and by how much it looks better on these than on rows left out."""
    if verdict.chosen != learner.name:
        return LEARNERS[_BASELINE[verdict.chosen]].fit(pool, y, metric, **known.named()), None
    # a slice is a view: nothing is copied where all rows are covered
    rows: Any = slice(None) if pool.complete.all() or not learner.learns else np.flatnonzero(pool.complete)
    learnt = known.take(rows)
    fitted: FittedRule = fit(pool.take(rows), y[rows], learnt)
    if not verdict.judged or not fitted.trajectory:
        return fitted, None
    inside = metric.score(y[rows], fitted.rule([values[rows] for values in pool.values], learnt.segments), learnt.weight)
    better = verdict.scores[learner.name] - inside
    return fitted, -better if metric.gain else better


def _fit(
    learner: Learner, pool: Pool, y: Array, known: About, *, metric: Metric, calibration: str, seed: int, options: Mapping[str, Any]
) -> FittedRule:
    """Fit on rows that all members cover; temperatures, where asked for, on the same rows."""
    if metric.needs_classes and len(np.unique(y)) < 2:
        raise CompatibilityError(
            f"{metric.name}: a fold has {len(y):,} rows to learn from, all of one class; ask for fewer folds or another metric"
        )
    heats: tuple[float, ...] = ()
    if calibration in ("members", "both"):
        heats = tuple(temperature(values, y, known.weight) for values in pool.values)
        pool = replace(pool, values=tuple(temper(values, heat) for values, heat in zip(pool.values, heats, strict=True)))
    fitted = learner.fit(pool, y, metric, seed=seed, **known.named(), **options)
    rule = fitted.rule
    if calibration in ("blend", "both"):
        rule = Tempered(rule, temperature(rule(pool.values, known.segments), y, known.weight))
    return replace(fitted, rule=OnTempered(rule, heats) if heats else rule)


def _choose(pool: Pool, y: Array, metric: Metric, *, seed: int = 0, **named: Any) -> FittedRule:
    """The learner with the least loss on rows left out of folds within these rows, fitted on all of them."""
    known = About(**named)
    rows = [row for name, row in LEARNERS.items() if name in CANDIDATES and pool.task in row.tasks]
    if not pool.classes:
        rows = [row for row in rows if row.name != "geometric"]
    folds = Split(5, seed=seed + 1).over(y, groups=known.groups, time=known.time, classes=pool.classes)
    losses = {}
    for row in rows:
        fit = partial(_fit, row, metric=metric, calibration="none", seed=seed, options=row.settle({}))
        p = left_out(lambda *args, fit=fit: fit(*args).rule, pool, y, folds, known)
        there = ~np.isnan(p.reshape(len(p), -1)).any(axis=1)
        losses[row.name] = metric.loss(y[there], p[there], known.take(there).weight)
    name = min(losses, key=lambda name: losses[name])
    best = LEARNERS[name]
    return replace(best.fit(pool, y, metric, seed=seed, **named, **best.settle({})), note=f"auto chose {name}")


def _verdict(
    fit: Any, learner: Learner, pool: Pool, y: Array, metric: Metric, known: About, split: Split | None, fall_back: bool, seed: int
) -> tuple[Verdict, tuple[float, ...]]:
    """The verdict, and the nonconformity scores of rows left out, in rising order."""
    complete = int(np.count_nonzero(pool.complete))
    if complete < FEWEST or len(pool.names) == 1 or split is None:
        few = (
            f"{complete} rows that all members cover are too few (fewer than {FEWEST})" if complete < FEWEST else "no rows can be left out"
        )
        why = "there is one member" if len(pool.names) == 1 else few
        return Verdict(
            learner.name, metric.name, (), learner.name, False, False, f"not judged: {why}; {learner.name} is returned as fitted"
        ), ()
    folds = split.over(y, groups=known.groups, time=known.time, classes=pool.classes)
    rules: dict[str, Any] = {learner.name: lambda *args: fit(*args).rule}
    for title, name in _BASELINE.items():
        if name != learner.name:
            rules[title] = lambda p, t, k, row=LEARNERS[name]: row.fit(p, t, metric, **k.named()).rule
    predictions = {name: left_out(rule, pool, y, folds, known) for name, rule in rules.items()}
    lines, rows = judge(learner.name, predictions, y, metric, known, seed)
    verdict = decide(learner.name, metric, lines, rows, fall_back=fall_back, optimism=None)
    own = predictions[verdict.chosen]
    there = ~np.isnan(own.reshape(len(own), -1)).any(axis=1)
    return verdict, tuple(np.sort(nonconformity(own[there], y[there], pool.classes)).tolist())
