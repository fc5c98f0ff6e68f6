"""One experiment a paper: the claim, the baselines, several seeds, and a control that must fail."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ..drawing import new_figure, save_figure
from ..errors import MissingExtraError, ParameterError
from .index import PAPERS

Row = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One statement about the rows. `got` has one value a seed, or one for all seeds.

    kind: `claim` must hold; `control` must hold too, and says that without its working part the method gains nothing; `report` is
    printed as it came out and decides nothing.
    """

    name: str
    expected: str
    got: tuple[float, ...]
    holds: bool
    kind: Literal["claim", "control", "report"] = "claim"


@dataclass(frozen=True)
class Experiment:
    """run: the rows of one seed, plain numbers and words. judge: the checks over the rows of all seeds."""

    paper: int
    claim: str
    data: str
    run: Callable[[int], list[Row]]
    judge: Callable[[Sequence[Row]], list[Check]]
    columns: tuple[str, ...]
    figure: Callable[[Sequence[Row], Path], None] | None = None


@dataclass(frozen=True)
class Result:
    """What came out."""

    paper: int
    title: str
    claim: str
    data: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    seconds: float
    columns: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Every claim holds and every control fails as it should."""
        return all(check.holds for check in self.checks if check.kind != "report")

    def table(self) -> str:
        """The means over seeds by condition, then every check."""
        lines = [
            f"{self.paper} {self.title}",
            f"claim  {self.claim}",
            f"data   {self.data}",
            f"seeds  {', '.join(map(str, self.seeds))}",
            "",
        ]
        lines += text_table(("condition", *self.columns), condition_means(self.rows, self.columns))
        lines += ["", *text_table(("", "check", "expected", "got"), [_check_line(c) for c in self.checks]), ""]
        holds, fails = "the claim holds at this size, and its control fails as it must", "the claim does not hold at this size as stated"
        verdict = holds if self.holds else fails
        return "\n".join([*lines, f"{verdict} ({self.seconds:.0f} s)"])

    def to_json(self) -> dict[str, Any]:
        """Plain data: everything above."""
        return {**asdict(self), "holds": self.holds}

    def figure(self, path: Path) -> None:
        """Draw the rows' means as bars, one panel a column."""
        draw_conditions(self, path)


def reproduce(number: int, seeds: Sequence[int] = (0, 1, 2)) -> Result:
    """Run the experiment of a paper. Raises ParameterError for a number without one.

    Any seeds will do: none of the thresholds is tied to those that are run by default.
    """
    if number not in PAPERS or not PAPERS[number].experiment:
        known = ", ".join(str(p.number) for p in PAPERS.values() if p.experiment)
        raise ParameterError(f"paper {number} has no experiment yet; those that have one: {known}")
    try:
        experiment: Experiment = import_module(f".p{number:02d}", __package__).EXPERIMENT
        began = time.perf_counter()
        rows = [{"seed": seed, **row} for seed in seeds for row in experiment.run(seed)]
    except ModuleNotFoundError as error:
        if error.name in ("sklearn", "matplotlib"):
            raise MissingExtraError("scikit-learn", "tabular") from error
        raise
    checks = experiment.judge(rows)
    seconds = time.perf_counter() - began
    title = PAPERS[number].title
    return Result(number, title, experiment.claim, experiment.data, tuple(seeds), tuple(rows), tuple(checks), seconds, experiment.columns)


def condition_means(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """One line a condition: the mean over seeds of each column that it has."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["condition"]), []).append(row)
    lines = []
    for condition, members in groups.items():
        cells = []
        for column in columns:
            values = [float(row[column]) for row in members if row.get(column) is not None]
            cells.append(f"{sum(values) / len(values):.3f}" if values else "-")
        lines.append((condition, *cells))
    return lines


def per_seed(rows: Sequence[Row], value: Callable[[Mapping[str, Row]], float]) -> tuple[float, ...]:
    """A figure for each seed, from that seed's rows by condition."""
    seeds = dict.fromkeys(row["seed"] for row in rows)
    return tuple(value({row["condition"]: row for row in rows if row["seed"] == seed}) for seed in seeds)


def text_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns in line: words to the left, numbers to the right.

    >>> text_table(("a", "b"), [("x", "1.5"), ("long", "20")])
    ['a        b', 'x      1.5', 'long    20']
    """
    table = [tuple(header), *[tuple(map(str, line)) for line in lines]]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    right = [all(_number(line[i]) for line in table[1:]) and len(table) > 1 for i in range(len(header))]
    return ["  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip() for line in table]


def _number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("+-").replace(".", "", 1).isdigit()


_WORDS = {"claim": ("holds", "FAILS"), "control": ("as it must", "NOT AS IT MUST"), "report": ("report", "report")}
"""What stands before a check that came out as expected, and before one that did not."""


def _check_line(check: Check) -> tuple[str, str, str, str]:
    good, bad = _WORDS[check.kind]
    word = good if check.holds else bad
    name = f"control: {check.name}" if check.kind == "control" else check.name
    return word, name, check.expected, " ".join(f"{value:+.3f}" for value in check.got)


def draw_conditions(result: Result, path: Path) -> None:
    """A panel a column with its own axis, a bar for each condition that has it: the mean over seeds, with each seed as a dot."""
    tables = [(column, values) for column in result.columns if (values := _by_condition(result.rows, column))]
    across = min(2, len(tables))
    most = [max(len(values) for _, values in tables[at : at + across]) for at in range(0, len(tables), across)]
    drawing = new_figure(6.5 * across, 0.7 + sum(0.2 * bars + 0.6 for bars in most))
    panels = drawing.subplots(len(most), across, squeeze=False, height_ratios=[bars + 3 for bars in most])
    for place, axes in enumerate(panels.flat):
        if place < len(tables):
            _draw_column(axes, *tables[place], bars=most[place // across])
        else:
            axes.set_axis_off()
    drawing.suptitle(textwrap.fill(f"{result.paper} {result.title}", 70 * across), fontsize=10)
    save_figure(drawing, path, dpi=120)


def _by_condition(rows: Sequence[Row], column: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get(column) is not None:
            found.setdefault(str(row["condition"]), []).append(float(row[column]))
    return found


def _draw_column(axes: Any, column: str, values: Mapping[str, Sequence[float]], *, bars: int) -> None:
    """bars: how many the panel has room for, so that those of neighbours are as thick."""
    axes.barh(range(len(values)), [fmean(found) for found in values.values()], color="tab:blue", alpha=0.7)
    for place, found in enumerate(values.values()):
        axes.plot(found, [place] * len(found), ".", color="black", markersize=4)
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.set_ylim(bars - 0.4, -0.6)
    axes.axvline(0, color="0.7", linewidth=1)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(column, fontsize=9)
