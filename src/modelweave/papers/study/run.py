"""Every data-free method on every suite: its default, and the best of several scales on validation."""

from __future__ import annotations

import inspect
import json
import math
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...catalog import METHODS
from ...errors import ModelweaveError, ParameterError, unknown
from ...extras import extras_named
from ...weights.method import Method
from .meter import Meter
from .problem import Part, Problem, Setting
from .store import Row, Store

REQUIRED: Mapping[str, Any] = {"t": 0.5, "weight": 1.0}
"""Values of parameters that have no default."""
SHARE = 0.2
"""What is kept where a method thins changes and its default is to keep them all: the density of TIES' paper."""
REFERENCE = "task_arithmetic"
"""The method that the others are compared with."""
BASE, MEMBER, OWN, ENSEMBLE = "base", "best member", "each task's own member", "mean of outputs"
STEPS_BEYOND = 3
WIDER = 1.5


@dataclass(frozen=True)
class Outcome:
    """All rows of a study. kind: baseline, default, tuned, refused or advice; those with figures are of the test part."""

    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]


def chosen_methods(names: Sequence[str] | None = None) -> list[Method]:
    """The catalog's methods on weights alone, or those that are named. Passthrough merges nothing."""
    every = {row.name: row for row in METHODS.values() if row.level == "weights" and row.name != "passthrough"}
    for name in names or ():
        if name not in every:
            raise ParameterError("--methods: " + unknown("method of the study", name, every))
    return [row for name, row in every.items() if names is None or name in names]


def options_of(row: Method) -> dict[str, Any]:
    """What the study sets: required parameters, and shares whose default of 1 would make a method plain task arithmetic.

    >>> options_of(METHODS["slerp"]), options_of(METHODS["ties"]), options_of(METHODS["task_arithmetic"])
    ({'t': 0.5}, {'density': 0.2}, {})
    """
    options = {p.name: REQUIRED[p.name] for p in row.parameters if p.required and p.name in REQUIRED}
    thinned = ("density", "select_topk") if row.per_delta else ()
    return options | {p.name: SHARE for p in row.parameters if p.name in thinned and p.default == 1.0}


def default_scale(row: Method) -> float:
    """The row's own scale, 1 where it has none."""
    return next((float(p.default) for p in row.parameters if p.name == "scale" and not p.required), 1.0)


def run_study(
    settings: Sequence[Setting],
    *,
    cache: Path,
    seeds: Sequence[int] = (3, 4, 5),
    methods: Sequence[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Run what the cache does not hold yet. Methods that cannot be run have a row with the reason.

    methods: names, all by default. say: hears of each method when it is done.
    """
    rows: list[Row] = []
    wanted = chosen_methods(methods)
    store = Store(cache / "results.jsonl")
    for setting in settings:
        for seed in setting.seeds(seeds):
            bench = Bench(setting, seed, cache, store)
            rows += bench.baselines()
            for row in wanted:
                found = bench.method(row)
                rows += found
                if say is not None:
                    say(f"{setting.key}, seed {seed}: " + in_words(found))
            rows += bench.advice()
    return Outcome(tuple(settings), tuple(seeds), tuple(rows))


def in_words(rows: Sequence[Row]) -> str:
    """A method's rows as one line."""
    first = rows[0]
    if first["kind"] == "refused":
        return f"{first['method']} cannot run: {first['reason']}"
    return f"{first['method']} {first['score']:.4f} by default, {rows[-1]['score']:.4f} at scale {rows[-1]['scale']:g}"


@dataclass
class Bench:
    """One setting and seed; the problem is made when the first result is missing."""

    setting: Setting
    seed: int
    cache: Path
    store: Store

    @cached_property
    def problem(self) -> Problem:
        """Members trained, or read from the cache's folder."""
        with extras_named():
            return self.setting.make(self.seed, self.cache)

    def _row(self, what: Sequence[Any], make: Callable[[], Row]) -> Row:
        made: Any = self.setting.make
        words = [self.setting.key, self.setting.words, getattr(made, "keywords", {})]
        key = json.dumps([self.setting.key, checksum(words), self.seed, *what])
        return self.store.row(key, lambda: {"setting": self.setting.key, "seed": self.seed, **make()})

    def baselines(self) -> list[Row]:
        """The base, the best member by validation, each task's own member, and the mean of all members' outputs, on test."""
        found: dict[str, NDArray[np.float64]] = {}

        def every() -> dict[str, NDArray[np.float64]]:
            if not found:
                score, members = self.problem.score, self.problem.members
                alone = [score([member], "test") for member in members]
                best = int(np.argmax([score([member], "validation").mean() for member in members]))
                found[BASE] = score([self.problem.base], "test")
                found[MEMBER] = alone[best]
                found[OWN] = np.stack([values[k] for k, values in enumerate(alone)])
                found[ENSEMBLE] = score(members, "test")
            return found

        def make(name: str) -> Row:
            return {"kind": "baseline", "method": name, **_figures(every()[name])}

        return [self._row([name], partial(make, name)) for name in (BASE, MEMBER, OWN, ENSEMBLE)]

    def method(self, row: Method) -> list[Row]:
        """The method on test with its default scale and with the best scale on validation; or why it cannot run."""
        merged = Merged(self, row)
        version = checksum([options_of(row), repr(row.parameters), *_sources(row)])
        default = default_scale(row)
        cost = self._row([row.name, version, "merge"], merged.cost)
        if cost["kind"] == "refused":
            return [cost]

        def at(scale: float, part: Part) -> Row:
            return self._row([row.name, version, scale, part], lambda: merged.scored(scale, part))

        tuned = default
        if merged.scaled:
            tuned = best_scale(lambda scale: float(at(scale, "validation")["score"]), default, self.setting.scales)
        costs = {name: cost[name] for name in ("seconds", "megabytes")}
        return [
            {**at(default, "test"), "kind": "default", **costs},
            {**at(tuned, "test"), "kind": "tuned", "scaled": merged.scaled, **costs},
        ]

    def advice(self) -> list[Row]:
        """The first choice of `evaluation.advice`, scored on test with the parameters that it says."""
        from ...evaluation import advice

        def make() -> Row:
            first = advice.advise(self.problem.base, self.problem.members).ranking[0]
            row = METHODS[first.method]
            options = dict(first.options)
            scale = options.pop("scale", default_scale(row))
            return {**Merged(self, row, options_of(row) | options).scored(scale, "test"), "kind": "advice"}

        return [self._row(["advice", checksum([inspect.getsource(advice)])], make)]


class Merged:
    """A method's merge on a bench, made when it is first needed."""

    def __init__(self, bench: Bench, row: Method, options: Mapping[str, Any] | None = None) -> None:
        self.bench, self.row = bench, row
        self.options = options_of(row) if options is None else options
        self.scaled = row.needs.base in ("required", "optional")
        self._found: Any = None

    def cost(self) -> Row:
        """How long the merge took and what memory it needed, or why there is none."""
        _ = self.bench.problem  # its training is no part of the cost
        try:
            with Meter() as meter:
                self._make()
        except ModelweaveError as error:
            return {"kind": "refused", "method": self.row.name, "reason": " ".join(str(error).split())}
        return {"kind": "merge", "method": self.row.name, "seconds": meter.seconds, "megabytes": meter.megabytes}

    def scored(self, scale: float, part: Part) -> Row:
        """The merge at a scale on validation or test."""
        self._make()
        state = self._found.at(scale) if self.scaled else self._found
        figures = _figures(self.bench.problem.score([state], part))
        if part == "validation":
            del figures["examples"]
        return {"kind": part, "method": self.row.name, "scale": scale, **figures}

    def _make(self) -> None:
        from ...engine.members import merge, prepare

        if self._found is not None:
            return
        problem = self.bench.problem
        options: dict[str, Any] = {"method": self.row.name, "seed": self.bench.seed, **self.options}
        # names, because what is refused is shown, and where a cache lies is nobody's business
        members = {f"member {k}": member for k, member in enumerate(problem.members, 1)}
        if self.scaled:
            self._found = prepare(members, base=problem.base, **options)
        elif self.row.needs.base == "first":
            self._found = merge({name: members[name] for name in list(members)[1:]}, base=problem.members[0], **options)
        else:
            self._found = merge(members, **options)


def best_scale(score: Callable[[float], float], default: float, multiples: Sequence[float]) -> float:
    """The scale of the highest score; while it is at an end of those tried, one more beyond is tried, up to three times.

    Of equal scores, the one nearest to the default.

    >>> best_scale(lambda s: -abs(s - 0.5), 0.25, (0.5, 1.0))
    0.5625
    """
    tried: dict[float, float] = {}

    def try_one(multiple: float) -> None:
        tried[multiple] = score(round(default * multiple, 6))

    def best() -> float:
        return max(tried, key=lambda m: (tried[m], -abs(math.log(m))))

    for multiple in multiples:
        try_one(multiple)
    for _ in range(STEPS_BEYOND):
        if best() == max(tried):
            try_one(max(tried) * WIDER)
        elif best() == min(tried):
            try_one(min(tried) / WIDER)
    return round(default * best(), 6)


def checksum(values: Any) -> str:
    """A short word that changes when the values do."""
    return f"{zlib.crc32(json.dumps(values, default=str, sort_keys=True).encode()):08x}"


def _sources(row: Method) -> list[str]:
    """The text of the modules that a method's parts stand in: a result is of this text."""
    parts = [*row.per_delta, *([row.space] if row.space else []), row.combine, *row.after]
    return [inspect.getsource(sys.modules[part.__module__]) for part in parts]


def _figures(values: NDArray[np.float64]) -> Row:
    """values: (tasks, examples)."""
    return {
        "score": float(values.mean()),
        "tasks": [float(value) for value in values.mean(1)],
        "examples": [round(float(value), 5) for value in values.mean(0)],
    }
