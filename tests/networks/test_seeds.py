"""Seeded blocks repeat, and leave nothing behind."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from modelweave.errors import CompatibilityError
from modelweave.networks import seeded
from modelweave.networks.seeds import random_state, restore_random_state


def draws() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()  # noqa: NPY002


def test_a_seeded_block_repeats_and_everything_is_put_back():
    torch.manual_seed(1)
    before, threads = random_state(), torch.get_num_threads()
    with seeded(5, numpy=True, python=True, single_thread=True):
        first = draws()
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    with pytest.raises(ZeroDivisionError), seeded(5, numpy=True, python=True):
        second = draws()
        raise ZeroDivisionError
    assert first == second
    after = draws()
    restore_random_state(before)
    assert draws() == after
    torch.manual_seed(5)
    assert torch.rand(()).item() == first[0]


def test_without_a_seed_numbers_go_on():
    torch.manual_seed(2)
    expected = torch.rand(2)
    torch.manual_seed(2)
    with seeded(None):
        first = torch.rand(1)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_the_state_of_further_generators_survives_a_file(tmp_path):
    generators = torch.Generator().manual_seed(3), np.random.default_rng(4)
    torch.save(random_state(generators), tmp_path / "state")
    drawn = torch.rand(3, generator=generators[0]), generators[1].random(3)
    state = torch.load(tmp_path / "state", weights_only=True)
    restore_random_state(state, generators)
    assert torch.equal(torch.rand(3, generator=generators[0]), drawn[0]) and (generators[1].random(3) == drawn[1]).all()
    with pytest.raises(CompatibilityError, match="noted for 2 generators, got 1"):
        restore_random_state(state, generators[:1])
