"""SLERP by closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import modelweave
from modelweave.weights.combine.sphere import slerp


def test_slerp_of_orthogonal_inputs_keeps_the_norm() -> None:
    found = modelweave.merge([{"w": torch.tensor([0.0, 2.0])}], method="slerp", base={"w": torch.tensor([2.0, 0.0])}, t=1 / 3)["w"]
    assert found.tolist() == pytest.approx([2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)], abs=1e-6)


def test_slerp_of_nearly_parallel_inputs_is_linear() -> None:
    gram = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert slerp(gram, [], t=0.3).tolist() == pytest.approx([0.7, 0.3])
