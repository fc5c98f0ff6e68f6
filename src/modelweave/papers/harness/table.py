"""A result as text: the means over seeds by condition, every check, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from ...text.tables import as_lines
from .checks import UNBOUNDED, Finding, Kind
from .experiment import Result
from .rows import Row

WORDS: dict[Kind, tuple[str, str]] = {
    "claim": ("holds", "FAILS"),
    "control": ("fails as expected", "NOT AS EXPECTED"),
    "invariant": ("holds as expected", "NOT AS EXPECTED"),
    "report": ("report, met", "report, missed"),
}
"""What stands before a check that came out as expected, and before one that did not; before a report without a bound, `report`."""


def result_text(result: Result, width: int | None = None) -> str:
    """The whole result, its tables within a terminal's width."""
    lines = [
        f"{result.paper} {result.title}",
        f"claim  {result.claim}",
        f"data   {result.data}",
        f"seeds  {', '.join(map(str, result.seeds))}",
        "",
        *as_lines(("condition", *result.columns), condition_means(result.rows, result.columns), width=width),
        "",
        *as_lines(("", "check", "expected", "got"), map(_finding_cells, result.checks), width=width),
        "",
        f"{verdict(result)} ({result.seconds:.0f} s)",
    ]
    return "\n".join(lines)


def verdict(result: Result) -> str:
    """Whether the claim holds, and how many controls and invariants came out as expected."""
    counts = []
    for kind in ("control", "invariant"):
        held = [finding.holds for finding in result.checks if finding.kind == kind]
        if held:
            counts.append(f"{kind}s as expected: {sum(held)} of {len(held)}")
    claim = "the claim holds at this size" if result.holds else "the claim does not hold at this size as stated"
    return "; ".join([claim, *counts])


def condition_means(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """One line a condition: the mean over seeds of each column that it has."""
    found = {column: by_condition(rows, column) for column in columns}
    means = {column: {name: f"{sum(values) / len(values):.3f}" for name, values in found[column].items()} for column in columns}
    conditions = dict.fromkeys(str(row["condition"]) for row in rows)
    return [(name, *(means[column].get(name, "-") for column in columns)) for name in conditions]


def by_condition(rows: Sequence[Row], column: str) -> dict[str, list[float]]:
    """Each condition's cells in the column, over seeds; conditions without one are left out."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.get(column) is not None:
            found.setdefault(str(row["condition"]), []).append(float(row[column]))
    return found


def _finding_cells(finding: Finding) -> tuple[str, str, str, str]:
    name = f"{finding.kind}: {finding.name}" if finding.kind in ("control", "invariant") else finding.name
    word = "report" if finding.expected == UNBOUNDED else WORDS[finding.kind][not finding.holds]
    return word, name, finding.expected, " ".join(f"{value:+.3f}" for value in finding.got)
