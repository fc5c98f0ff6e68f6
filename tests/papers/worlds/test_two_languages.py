"""Two languages of digits: operations by hand, pictures that belong to their answers."""

from __future__ import annotations

import torch

from modelweave.papers.worlds import two_languages as world


def test_operations_by_hand() -> None:
    one, two = torch.full((5,), 9), torch.full((5,), 4)
    assert world.answer(one, two, torch.arange(5)).tolist() == [9, 4, 0, 9, 3]


def test_a_batch_shows_what_it_asks_for() -> None:
    torch.manual_seed(0)
    digits = world.Digits()
    languages = [torch.full((50,), language) for language in (0, 1, 1)]
    pictures, operation, output, target = digits.batch(50, torch.zeros(50, dtype=torch.long), languages, (600, 60))
    assert pictures.shape == (50, 2, 64) and output.tolist() == operation.add(1).tolist()
    assert (target >= 10).all(), "answers in the second language"
    upright = digits.pictures[0]
    for picture, wanted in zip(pictures[:, 0], target - 10, strict=True):
        assert digits.labels[(upright == picture).all(1)].tolist() == [int(wanted)], "the first digit, upright"
