"""How the study at scale puts scores together."""

from __future__ import annotations

import pytest

from modelweave.papers.weights import at_scale_25 as paper
from modelweave.papers.worlds.digits import make_suite


def test_categories_weigh_the_same_whatever_they_hold() -> None:
    assert paper.aggregate({"a": [(0.9, 1.0), (0.7, 1.0)], "b": [(1.0, 1.0)]}) == pytest.approx(0.9)
    assert paper.aggregate({"a": [(0.5, 0.01)]}) == pytest.approx(0.49)


def test_one_expert_alone_scores_as_itself() -> None:
    suite = make_suite(1, experts=1, width=32)
    row = paper.score(suite, suite.experts, (0,), "averaging", seed=1)
    assert row["held_in"] == pytest.approx(1, abs=2 / 497)
