"""The index of papers and what stands behind each row."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from modelweave.errors import ParameterError
from modelweave.papers.harness.experiment import Experiment, reproduce
from modelweave.papers.index import PAPERS, Paper

REPRODUCED = [pytest.param(paper, id=f"{number:02d}") for number, paper in PAPERS.items() if paper.module]


def test_every_paper_is_listed_once() -> None:
    assert sorted(PAPERS) == list(range(1, 60))
    assert {paper.level for paper in PAPERS.values()} == {"weights", "layers", "experts", "outputs", "training", "data", "analysis"}
    assert len({paper.arxiv for paper in PAPERS.values()}) == 59 == len({paper.title for paper in PAPERS.values()})


@pytest.mark.parametrize("paper", REPRODUCED)
def test_an_experiment_stands_in_the_folder_of_its_level_with_a_test_beside_it(paper: Paper) -> None:
    level, name = paper.module.removeprefix(".").split(".")
    assert level == paper.level and name.endswith(f"_{paper.number:02d}")
    assert (Path(__file__).parent / level / f"test_{name}.py").is_file()


@pytest.mark.parametrize("paper", REPRODUCED)
def test_an_experiment_says_what_it_claims_and_how_it_could_fail(paper: Paper) -> None:
    experiment = import_module(paper.module, "modelweave.papers").EXPERIMENT
    assert (
        isinstance(experiment, Experiment)
        and experiment.claim
        and experiment.data.split(":")[0].split()[0] in ("made", "real", "synthetic")
    )
    names = [check.name for check in experiment.checks]
    assert len(names) == len(set(names))
    kinds = {check.kind for check in experiment.checks}
    assert "claim" in kinds and kinds & {"control", "invariant"}
    assert all(check.bounds for check in experiment.checks if check.kind != "report"), "what decides has a bound"


def test_a_paper_without_an_experiment_is_one_sentence() -> None:
    known = ", ".join(str(paper.number) for paper in PAPERS.values() if paper.module)
    with pytest.raises(ParameterError, match=f"paper 8 has no experiment yet; those that have one: {known}"):
        reproduce(8)
    with pytest.raises(ParameterError, match="paper 60 has no experiment yet"):
        reproduce(60)


@pytest.mark.slow
@pytest.mark.parametrize("paper", REPRODUCED)
def test_claims_hold_on_seeds_that_nothing_was_chosen_on(paper: Paper) -> None:
    assert reproduce(paper, (51, 52, 53)).holds
