"""Arcee fusion by a slow loop."""

from __future__ import annotations

import numpy as np
import torch

import modelweave


def test_arcee_fusion_by_a_slow_loop() -> None:
    random = np.random.default_rng(5)
    base = random.standard_normal((6, 7)).astype(np.float32)
    other = (base + random.standard_normal((6, 7)) * 0.3).astype(np.float32)
    importance = np.zeros((6, 7))
    for i in range(6):
        p = np.exp(other[i].astype(float)) / np.exp(other[i].astype(float)).sum() + 1e-8
        q = np.exp(base[i].astype(float)) / np.exp(base[i].astype(float)).sum() + 1e-8
        importance[i] = np.abs(other[i] - base[i]) * (p * np.log(p / q)).sum()
    ordered = np.sort(importance.reshape(-1))
    first, median, third = (ordered[int(q * 41)] for q in (0.25, 0.5, 0.75))
    expected = np.where(importance >= median + 1.5 * (third - first), other, base)
    found = modelweave.merge([{"w": torch.from_numpy(other)}], method="arcee_fusion", base={"w": torch.from_numpy(base)})["w"]
    assert np.abs(found.numpy() - expected).max() < 1e-6
