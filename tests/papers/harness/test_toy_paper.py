"""A paper is added with a module, a row of the index and a test: nothing is registered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelweave.papers.harness.experiment import reproduce
from modelweave.papers.harness.page import evidence_page
from modelweave.papers.harness.table import result_text
from modelweave.papers.index import Paper

MODULE = '''
"""Halving: a number is halved by dividing it, not by looking at it."""

from modelweave.papers.harness.checks import above, at_least, claim, control, exactly, report, within
from modelweave.papers.harness.experiment import Experiment
from modelweave.papers.harness.measures import gap, overall, value


def run(seed, divide=True):
    return [{"condition": "whole", "size": 8.0 + seed}, {"condition": "half", "size": (8.0 + seed) / (2 if divide else 1)}]


EXPERIMENT = Experiment(
    claim="half of a number is smaller (-)",
    data="made: whole numbers",
    run=run,
    checks=(
        claim("whole - half", gap("whole", "half"), at_least(4), above(4, "on average")),
        control("whole - whole", gap("whole", "whole"), exactly(0)),
        report("half of all", overall(sum, value("half")), within(10)),
    ),
    columns=("size",),
    ablations={"no division": lambda seed: run(seed, divide=False)},
)
'''


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    (tmp_path / "halving_99.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return Paper(99, "Halving", "", "weights", "halving_99")


def test_a_module_and_a_row_are_an_experiment(paper: Paper) -> None:
    result = reproduce(paper, (0, 2))
    assert result.holds and json.loads(json.dumps(result.to_json()))["holds"]
    assert [row["size"] for row in result.rows] == [8, 4, 10, 5] and [row["seed"] for row in result.rows] == [0, 0, 2, 2]
    lines = result_text(result).splitlines()
    assert lines[0] == "99 Halving" and lines[6:8] == ["whole      9.000", "half       4.500"]
    assert [line.split("  ")[0] for line in lines[10:13]] == ["holds", "fails as expected", "report, met"]
    assert lines[10].split("each")[-1].split() == [",", ">", "+4", "on", "average", "+4.000", "+5.000"]
    assert lines[12].endswith("  no claim: within 10          +9.000")
    assert lines[-1].startswith("the claim holds at this size; controls as expected: 1 of 1 (")
    assert "`modelweave reproduce 99 --seeds 0,2`" in evidence_page([result])


def test_with_its_step_removed_it_fails(paper: Paper) -> None:
    from dataclasses import replace
    from importlib import import_module

    experiment = import_module(paper.module).EXPERIMENT
    without = replace(experiment, run=experiment.ablations["no division"])
    findings = without.judge([{"seed": 0, **row} for row in without.run(0)])
    assert [finding.holds for finding in findings] == [False, True, True]
