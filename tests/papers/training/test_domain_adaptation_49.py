"""Domain adaptation (arXiv 2409.03444): how alike two parents are, by hand."""

import numpy as np
import pytest

from modelweave.papers.training import domain_adaptation_49 as paper


def test_likeness_is_that_of_the_least_alike_tensor() -> None:
    one = {"a": np.array([1.0, 0.0]), "b": np.array([3.0, 4.0])}
    other = {"a": np.array([1.0, 1.0]), "b": np.array([3.0, 4.0])}
    found = paper.likeness(one, other)
    assert found == pytest.approx({"cosine": 0.5**0.5, "norm_ratio": 2**0.5})
    assert paper.likeness(other, one) == pytest.approx(found)
