"""DELLA: chances by rank."""

from __future__ import annotations

import pytest
import torch

from .helpers import kept_by


def test_della_keeps_large_changes_more_often() -> None:
    row = torch.arange(1, 1001, dtype=torch.float32)
    delta = row.repeat(400, 1)
    kept = (kept_by("della_linear", delta, density=0.5, epsilon=0.3, rescale=False) != 0).float().mean(0)
    expected = 0.2 + 0.6 * torch.arange(1000) / 999
    # averaged over 100 neighbouring ranks, 40,000 draws each
    assert (kept.reshape(10, 100).mean(1) - expected.reshape(10, 100).mean(1)).abs().max() < 0.015


def test_della_gives_equal_magnitudes_equal_chances() -> None:
    delta = torch.tensor([1.0, -1.0, 1.0, 1.0]).repeat(20_000, 1)
    kept = (kept_by("della_linear", delta, density=0.5, epsilon=0.4, rescale=False) != 0).float().mean(0)
    assert kept.tolist() == pytest.approx([0.5] * 4, abs=0.02)
