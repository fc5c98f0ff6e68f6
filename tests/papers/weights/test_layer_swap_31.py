"""Layer swapping (arXiv 2410.01335): how far a layer moved, by hand."""

import pytest
import torch

from modelweave.papers.weights import layer_swap_31 as paper


def test_a_change_is_relative_to_the_base_and_of_its_layer() -> None:
    base = {"layers.0.weight": torch.tensor([3.0, 4.0]), "layers.1.weight": torch.ones(2)}
    expert = {"layers.0.weight": torch.tensor([3.0, 5.0]), "layers.1.weight": torch.ones(2)}
    assert paper._moved(base, expert, 0) == pytest.approx(0.2) and paper._moved(base, expert, 1) == 0
