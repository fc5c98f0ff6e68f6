"""Tables of two classes."""

from __future__ import annotations

import pytest
import torch

from modelweave.papers.worlds import two_classes as world


def test_the_data() -> None:
    X, y, new, _ = world.make_data(0, test_rows=100)
    assert X.shape == (500, 400) and new.shape == (100, 400) and set(y.tolist()) == {0.0, 1.0}
    assert X.mean(dim=0).abs().max() < 1e-5 and X.std(dim=0, unbiased=False) == pytest.approx(torch.ones(400), abs=1e-5)
    far, labels, *_ = world.far_group(0)
    assert far[100:200].mean() == pytest.approx(20, abs=0.05) and labels.tolist() == [1.0] * 200 + [0.0] * 200
