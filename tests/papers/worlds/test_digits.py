"""The digits under the symmetries of the square: images, networks, flat weights."""

from __future__ import annotations

import torch

from modelweave.papers.worlds.classifiers import accuracy, flat, unflat
from modelweave.papers.worlds.digits import make_suite, symmetry


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
