"""Whether an ensemble is better than its best member and the plain mean, on rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CompatibilityError
from ...statistics.bootstrap import DRAWS, percentile_interval, resampled, resampled_means
from ..splits import Fold
from .learner import About
from .metrics import Metric
from .pool import Array, Pool

Fit = Callable[[Pool, Array, About], Any]
"""(pool, y, about) -> a rule."""

BASELINES = ("best member", "plain mean")


@dataclass(frozen=True)
class CandidateScore:
    """One candidate's score on the rows left out. gain: by how much its loss is below this line's, with a 95 % interval, of the method."""

    name: str
    score: float
    gain: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """chosen: the method, or the baseline that it did not beat. optimism: how much better the fitted rows look than those left out."""

    method: str
    metric: str
    lines: tuple[CandidateScore, ...]
    chosen: str
    judged: bool
    beats: bool
    sentence: str
    rows: int = 0
    optimism: float | None = None

    def __str__(self) -> str:
        return self.sentence

    @property
    def scores(self) -> dict[str, float]:
        """Score by candidate, on the rows left out."""
        return {line.name: line.score for line in self.lines}


def left_out(fit: Fit, pool: Pool, y: Array, folds: Sequence[Fold], about: About) -> Array:
    """Predictions of each row by a rule that was fitted without it, the mean over repeats; NaN where no fold tests a row."""
    total = np.zeros(pool.values[0].shape)
    count = np.zeros(len(y))
    for fold in folds:
        learn = fold.train[pool.complete[fold.train]]
        rule = fit(pool.take(learn), y[learn], about.take(learn))
        total[fold.test] += rule([values[fold.test] for values in pool.values], about.take(fold.test).segments)
        count[fold.test] += 1
    count[count == 0] = np.nan
    return np.asarray((total.T / count).T)


def judge(
    method: str, predictions: Mapping[str, Array], y: Array, metric: Metric, about: About, seed: int
) -> tuple[list[CandidateScore], int]:
    """A line a candidate, the method's first; gains are paired over rows, or over groups, which are drawn whole."""
    there = np.all([~np.isnan(p.reshape(len(p), -1)).any(axis=1) for p in predictions.values()], axis=0)
    truth, about = y[there], about.take(there)
    if metric.needs_classes and len(np.unique(truth)) < 2:
        raise CompatibilityError(f"{metric.name}: the rows left out are all of one class; give more rows of the other, or another metric")
    kept = {name: p[there] for name, p in predictions.items()}
    losses = {name: metric.loss(truth, p, about.weight) for name, p in kept.items()}
    own = kept[method]
    lines = []
    for name, p in kept.items():
        if name == method:
            lines.append(CandidateScore(name, metric.of_loss(losses[name])))
            continue
        interval = gain_interval(metric, truth, own, p, weight=about.weight, groups=about.groups, seed=seed)
        lines.append(CandidateScore(name, metric.of_loss(losses[name]), losses[name] - losses[method], interval))
    return lines, int(np.count_nonzero(there))


def gain_interval(
    metric: Metric,
    y: Array,
    p: Array,
    other: Array,
    *,
    weight: Array | None = None,
    groups: Array | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """95 % bootstrap interval of loss(other) - loss(p) on the same rows; groups are drawn whole. Other options as of `drawn_gains`."""
    fewer = draws if metric.whole is None else max(draws // 5, 100)
    gains = drawn_gains(metric, y, p, other, weight=weight, groups=groups, seed=seed, draws=fewer)
    return percentile_interval(gains)


def drawn_gains(
    metric: Metric,
    y: Array,
    p: Array,
    other: Array,
    *,
    weight: Array | None = None,
    groups: Array | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Array:
    """loss(other) - loss(p) on `draws` bootstrap samples of the rows, the same for both, or of whole groups."""
    options: Any = {"weight": weight, "groups": groups, "seed": seed, "draws": draws}
    if metric.whole is None:
        means = resampled_means([metric.losses(y, values) for values in (p, other)], **options)
        gains = np.array([metric.finish(float(theirs)) - metric.finish(float(ours)) for ours, theirs in means])
    else:
        gains = resampled(lambda times: _whole_gain(metric, y, p, other, times), len(y), **options)
    finite: Array = gains[np.isfinite(gains)]
    return finite


def _whole_gain(metric: Metric, y: Array, p: Array, other: Array, weight: Array) -> float:
    drawn = weight > 0
    y, p, other, weight = y[drawn], p[drawn], other[drawn], weight[drawn]
    return metric.loss(y, other, weight) - metric.loss(y, p, weight)


def decide(method: str, metric: Metric, lines: Sequence[CandidateScore], rows: int, *, fall_back: bool, optimism: float | None) -> Verdict:
    """The method where it scores better than both baselines on rows left out; else the better baseline."""
    baselines = [line for line in lines if line.name in BASELINES and line.name != method]
    rival = min(baselines, key=lambda line: line.gain if line.gain is not None else np.inf)
    gain = rival.gain or 0.0
    beats = gain > 0
    low, high = rival.interval or (float("nan"), float("nan"))
    own = next(line for line in lines if line.name == method)
    tail = f"(gain {gain:.4g}, 95 % interval {low:.4g} to {high:.4g}, {rows:,} rows left out of the fit)"
    compared = f"{metric.name} {own.score:.4g} against {rival.score:.4g}"
    if beats:
        sure = "" if low > 0 else "; the difference is within chance"
        sentence = f"{method} beats the {rival.name}: {compared} {tail}{sure}"
    else:
        kept = f"the {rival.name} is returned" if fall_back else f"{method} is returned all the same, as asked"
        sentence = f"{method} does not beat the {rival.name}: {compared} {tail}; {kept}"
    chosen = method if beats or not fall_back else rival.name
    return Verdict(method, metric.name, tuple(lines), chosen, True, beats, sentence, rows, optimism)
