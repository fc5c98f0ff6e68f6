"""What is printed and drawn of a result, and the page of evidence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from modelweave.papers.harness import figure
from modelweave.papers.harness.checks import Finding, Kind
from modelweave.papers.harness.experiment import Result
from modelweave.papers.harness.page import evidence_page
from modelweave.papers.harness.table import condition_means, result_text
from modelweave.papers.index import PAPERS

KINDS: tuple[Kind, ...] = ("claim", "control", "invariant", "report")


def result(**more: Any) -> Result:
    return Result(**{"paper": 29, "title": "T", "claim": "", "data": "", "seeds": (4,), "rows": (), "checks": (), "seconds": 1.0, **more})


def of_kinds(*broken: Kind) -> Result:
    return result(checks=tuple(Finding(kind, "> 0", (1.0,), kind not in broken, kind) for kind in KINDS))


def test_the_words_before_checks_cannot_be_mixed_up() -> None:
    def words(found: Result) -> list[str]:
        return [line.split("  ")[0] for line in result_text(found).splitlines() if line.endswith("+1.000")]

    assert words(of_kinds()) == ["holds", "fails as expected", "holds as expected", "report, met"]
    assert words(of_kinds(*KINDS)) == ["FAILS", "NOT AS EXPECTED", "NOT AS EXPECTED", "report, missed"]


@pytest.mark.parametrize(
    ("broken", "verdict"),
    [
        ((), "the claim holds at this size; controls as expected: 1 of 1; invariants as expected: 1 of 1"),
        (("report",), "the claim holds at this size; controls as expected: 1 of 1; invariants as expected: 1 of 1"),
        (("claim",), "the claim does not hold at this size as stated; controls as expected: 1 of 1; invariants as expected: 1 of 1"),
        (("control",), "the claim does not hold at this size as stated; controls as expected: 0 of 1; invariants as expected: 1 of 1"),
        (("invariant",), "the claim does not hold at this size as stated; controls as expected: 1 of 1; invariants as expected: 0 of 1"),
    ],
)
def test_all_but_reports_decide(broken: tuple[Kind, ...], verdict: str) -> None:
    found = of_kinds(*broken)
    assert found.holds is verdict.startswith("the claim holds")
    assert result_text(found).splitlines()[-1] == f"{verdict} (1 s)"


def test_means_over_seeds() -> None:
    rows = [{"condition": "a", "x": 1.0, "seed": 0}, {"condition": "a", "x": 2.0, "seed": 1}, {"condition": "b", "seed": 0}]
    assert condition_means(rows, ("x",)) == [("a", "1.500"), ("b", "-")]


def test_the_figure_has_a_panel_a_column_with_the_conditions_that_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = (
        {"condition": "a", "x": 1.0},
        {"condition": "a", "x": 3.0},
        {"condition": "b", "y": 2000.0},
        {"condition": "c", "x": -1, "y": None},
    )
    figures: list[Any] = []
    monkeypatch.setattr(figure, "save_figure", lambda drawing, path, dpi: figures.append(drawing))
    figure.draw_result(result(rows=rows, columns=("x", "y", "none")), tmp_path / "f.png")
    panels = [axes for axes in figures[0].axes if axes.axison]
    assert [axes.get_title() for axes in panels] == ["x", "y"]
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in panels] == [["a", "c"], ["b"]]
    assert [[bar.get_width() for bar in axes.patches] for axes in panels] == [[2, -1], [2000]]
    assert panels[0].get_xlim()[1] < 10


def test_a_paper_that_was_not_run_is_no_paper_without_an_experiment() -> None:
    lines = evidence_page([]).splitlines()
    states = {int(line.split(" | ")[0].removeprefix("| ")): line.split(" | ")[-1] for line in lines if re.match(r"\| \d", line)}
    assert states == {n: "not run here |" if paper.module else "not yet |" for n, paper in PAPERS.items()}


def test_the_page_of_evidence_lists_every_paper() -> None:
    page = evidence_page([of_kinds("claim")])
    assert all(f"| {number} | " in page for number in PAPERS)
    assert "does not hold at this size |" in page and "`modelweave reproduce 29 --seeds 4`" in page
