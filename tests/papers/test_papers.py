"""The harness, and the parts of the experiments that have a known answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from modelweave.errors import ParameterError
from modelweave.papers import harness, p22, p25, p29, p48
from modelweave.papers.evidence import evidence_page
from modelweave.papers.harness import Check, Experiment, Result, Row, reproduce
from modelweave.papers.index import PAPERS
from modelweave.papers.suite import Suite, accuracy, flat, make_suite, symmetry, unflat


def test_every_paper_is_listed_once() -> None:
    assert sorted(PAPERS) == list(range(1, 60))
    assert {n for n, paper in PAPERS.items() if paper.experiment} == {3, 6, 7, 11, 13, 22, 25, 29, 31, 42, 45, 48, 49, 51, 56}


def experiment(margin: float, control: float) -> Experiment:
    def judge(rows: Sequence[Row]) -> list[Check]:
        got = tuple(row["accuracy"] for row in rows)
        return [
            Check("claim", "> 0", got, all(g > 0 for g in got)),
            Check("control", "< 0.1", (control,), control < 0.1, "control"),
            Check("aside", "no claim", (-5.0,), False, "report"),
        ]

    return Experiment(29, "it works", "made", lambda seed: [{"condition": "x", "accuracy": margin + seed}], judge, ("accuracy",))


@pytest.mark.parametrize(("margin", "control", "holds"), [(1, 0, True), (-1, 0, False), (1, 0.5, False)])
def test_a_control_that_does_not_fail_spoils_the_result(
    monkeypatch: pytest.MonkeyPatch, margin: float, control: float, holds: bool
) -> None:
    monkeypatch.setattr(p29, "EXPERIMENT", experiment(margin, control))
    result = reproduce(29, (0, 5))
    assert result.holds is holds
    assert json.loads(json.dumps(result.to_json()))["holds"] is holds
    assert [row["seed"] for row in result.rows] == [0, 5]
    assert ("does not hold" in result.table()) is not holds


def test_the_words_before_claims_and_controls_cannot_be_mixed_up() -> None:
    def words(holds: bool) -> list[str]:
        checks = [Check(kind, "> 0", (1.0,), holds, kind) for kind in ("claim", "control", "report")]
        lines = result(checks=tuple(checks)).table().splitlines()
        return [line.split("  ")[0] for line in lines if line.endswith("+1.000")]

    assert words(True) == ["holds", "as it must", "report"]
    assert words(False) == ["FAILS", "NOT AS IT MUST", "report"]
    assert "and its control fails as it must" in result().table()


def result(**more: Any) -> Result:
    return Result(**{"paper": 29, "title": "T", "claim": "", "data": "", "seeds": (0,), "rows": (), "checks": (), "seconds": 1.0, **more})


def test_the_figure_has_a_panel_a_column_with_the_conditions_that_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = (
        {"condition": "a", "x": 1.0},
        {"condition": "a", "x": 3.0},
        {"condition": "b", "y": 2000.0},
        {"condition": "c", "x": -1, "y": None},
    )
    figures: list[Any] = []
    monkeypatch.setattr(harness, "save_figure", lambda figure, path, dpi: figures.append(figure))
    result(rows=rows, columns=("x", "y", "none")).figure(tmp_path / "f.png")
    panels = [axes for axes in figures[0].axes if axes.axison]
    assert [axes.get_title() for axes in panels] == ["x", "y"]
    assert [[label.get_text() for label in axes.get_yticklabels()] for axes in panels] == [["a", "c"], ["b"]]
    assert [[bar.get_width() for bar in axes.patches] for axes in panels] == [[2, -1], [2000]]
    assert panels[0].get_xlim()[1] < 10


def test_a_paper_that_was_not_run_is_no_paper_without_an_experiment() -> None:
    lines = evidence_page([]).splitlines()
    states = {int(line.split(" | ")[0].removeprefix("| ")): line.split(" | ")[-1] for line in lines if re.match(r"\| \d", line)}
    assert states == {n: "not run here |" if paper.experiment else "not yet |" for n, paper in PAPERS.items()}


def test_the_page_of_evidence_lists_every_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p29, "EXPERIMENT", experiment(-9, 0))
    page = evidence_page([reproduce(29, (4,))])
    assert all(f"| {number} | " in page for number in PAPERS)
    assert "does not hold at this size |" in page and "`modelweave reproduce 29 --seeds 4`" in page


def test_a_paper_without_an_experiment_is_one_sentence() -> None:
    with pytest.raises(
        ParameterError, match="paper 8 has no experiment yet; those that have one: 3, 6, 7, 11, 13, 22, 25, 29, 31, 42, 45, 48, 49, 51, 56"
    ):
        reproduce(8)


def test_means_over_seeds() -> None:
    rows = [{"condition": "a", "x": 1.0, "seed": 0}, {"condition": "a", "x": 2.0, "seed": 1}, {"condition": "b", "seed": 0}]
    assert harness.condition_means(rows, ("x",)) == [("a", "1.500"), ("b", "-")]


def test_categories_weigh_the_same_whatever_they_hold() -> None:
    assert p25.aggregate({"a": [(0.9, 1.0), (0.7, 1.0)], "b": [(1.0, 1.0)]}) == pytest.approx(0.9)
    assert p25.aggregate({"a": [(0.5, 0.01)]}) == pytest.approx(0.49)


def test_symmetries_are_the_eight_of_the_square() -> None:
    image = torch.arange(64.0).reshape(1, 8, 8)
    seen = {tuple(symmetry(image, k)[0].tolist()) for k in range(8)}
    assert len(seen) == 8
    assert torch.equal(symmetry(image, 0).reshape(8, 8), image[0])
    assert symmetry(image, 1).reshape(8, 8)[0].tolist() == image[0, :, 7].tolist()


def test_flat_and_back() -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([7.0])}
    back = unflat(flat(state), state)
    assert back.keys() == state.keys() and all(torch.equal(back[n], state[n]) for n in state)


def test_the_base_is_mediocre_and_the_experts_are_good() -> None:
    suite = make_suite(0, experts=1)
    base = sum(accuracy(suite.base, split) for split in suite.test) / 8
    assert 0.65 < base < 0.8
    assert accuracy(suite.experts[0], suite.test[0]) > 0.93
    again = make_suite(0, experts=1)
    assert all(torch.equal(suite.base[n], again.base[n]) for n in suite.base)


def test_one_expert_alone_scores_as_itself() -> None:
    suite = make_suite(1, experts=1, width=32)
    row = p25.score(suite, suite.experts, (0,), "averaging", seed=1)
    assert row["held_in"] == pytest.approx(1, abs=2 / 497)


def test_the_mechanism_on_made_vectors() -> None:
    errors = {row["condition"]: row["error"] for row in p29.mechanism(3)}
    assert errors["made vectors, TIES 20 %"] <= 0.6 and errors["made vectors, mean"] >= 0.75
    assert errors["made vectors, signs of the other 90 % turned"] == errors["made vectors, TIES 10 %"]
    assert errors["made vectors, signs of the largest 10 % turned"] > 2


def test_shares_in_other_places_are_other_merges_and_equal_shares_the_mean() -> None:
    base = {"all": torch.zeros(4000)}
    members = [{"all": torch.randn(4000, generator=torch.Generator().manual_seed(k))} for k in range(2)]
    moved, gap = p22.without_places(members, base, 1, "paper")
    again, _ = p22.without_places(members, base, 1, "paper")
    assert gap < 1e-12 and torch.equal(moved["all"], again["all"])
    assert (moved["all"] != 0).double().mean() == pytest.approx(1 - 0.8**2, abs=0.03)


def test_the_baselines_of_continual_merging_by_hand() -> None:
    def state(value: float) -> dict[str, torch.Tensor]:
        return {"w": torch.full((2, 2), value)}

    suite = Suite(state(1.0), [state(2.0), state(4.0), state(9.0)], [], [])

    def last(steps: p48.Steps) -> float:
        return float([merged["w"][0, 0] for merged, _ in steps][-1])

    assert last(p48.running_average(suite, (0, 1, 2))) == pytest.approx(5)
    assert last(p48.continual_sum(suite, (0, 1, 2))) == pytest.approx(1 + 0.3 * (1 + 3 + 8))
    assert last(p48.continual_ties(suite, (0, 1))) == pytest.approx(1 + 0.5 + 0.5 * (0.5 + 3))  # equals of the trimmed edge stay


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 6, 7, 11, 13, 22, 25, 29, 31, 42, 45, 48, 49, 51, 56])
def test_claims_hold_on_seeds_that_nothing_was_chosen_on(number: int) -> None:
    assert reproduce(number, (51, 52, 53)).holds
