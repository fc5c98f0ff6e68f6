"""The rivals of OPCM."""

from __future__ import annotations

import pytest
import torch

from modelweave.papers.weights import opcm_48 as paper
from modelweave.papers.worlds.classifiers import Suite


def test_the_baselines_of_continual_merging_by_hand() -> None:
    def state(value: float) -> dict[str, torch.Tensor]:
        return {"w": torch.full((2, 2), value)}

    suite = Suite(state(1.0), [state(2.0), state(4.0), state(9.0)], [], [])

    def last(steps: paper.Steps) -> float:
        return float([merged["w"][0, 0] for merged, _ in steps][-1])

    assert last(paper.running_average(suite, (0, 1, 2))) == pytest.approx(5)
    assert last(paper.continual_sum(suite, (0, 1, 2))) == pytest.approx(1 + 0.3 * (1 + 3 + 8))
    assert last(paper.continual_ties(suite, (0, 1))) == pytest.approx(1 + 0.5 + 0.5 * (0.5 + 3))  # equals of the trimmed edge stay
