"""One experiment a paper: the claim, the rivals, several seeds, and controls that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from ...errors import ParameterError
from ...extras import extras_named
from ..index import PAPERS, Paper
from .checks import Check, Finding
from .rows import Row, Rows

Run = Callable[[int], list[Row]]


@dataclass(frozen=True)
class Experiment:
    """What a paper's module has under the name EXPERIMENT.

    run: the rows of one seed, plain numbers and words; each row has a `condition`. columns: those that are shown, the first is what
    checks compare where they name none. ablations: name of a key step of the method -> the run without it.
    """

    claim: str
    data: str
    run: Run
    checks: Sequence[Check]
    columns: tuple[str, ...]
    ablations: Mapping[str, Run] = field(default_factory=dict)

    def judge(self, rows: Sequence[Row]) -> list[Finding]:
        """How every check comes out on the rows of all seeds."""
        return [check.judge(Rows(rows, self.columns[0])) for check in self.checks]


@dataclass(frozen=True)
class Result:
    """What came out."""

    paper: int
    title: str
    claim: str
    data: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    checks: tuple[Finding, ...]
    seconds: float
    columns: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every claim, control and invariant came out as expected."""
        return all(finding.holds for finding in self.checks if finding.kind != "report")

    def to_json(self) -> dict[str, Any]:
        """Plain data: everything above."""
        return {**asdict(self), "holds": self.holds}


def reproduce(paper: int | Paper, seeds: Sequence[int] = (0, 1, 2)) -> Result:
    """Run the experiment of a paper, by its number or by its row of the index, on any seeds.

    Raises:
        ParameterError: the paper has no experiment.
    """
    row = paper if isinstance(paper, Paper) else PAPERS.get(paper)
    if row is None or not row.module:
        known = ", ".join(str(p.number) for p in PAPERS.values() if p.module)
        raise ParameterError(f"paper {paper if row is None else row.number} has no experiment yet; those that have one: {known}")
    with extras_named():
        experiment: Experiment = import_module(row.module, "modelweave.papers").EXPERIMENT
        began = time.perf_counter()
        rows = [{"seed": seed, **found} for seed in seeds for found in experiment.run(seed)]
    findings = tuple(experiment.judge(rows))
    seconds = time.perf_counter() - began
    return Result(
        row.number, row.title, experiment.claim, experiment.data, tuple(seeds), tuple(rows), findings, seconds, experiment.columns
    )
