"""The rules that combine changes in a space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelweave.weights.combine.rule import trim_elect_mean

from .helpers import context


def slow_ties(deltas: np.ndarray, weights: list[float], density: float) -> np.ndarray:
    count = max(1, int(density * deltas[0].size))
    kept = []
    for d in deltas.reshape(len(deltas), -1):
        ranked = sorted(range(d.size), key=lambda i, d=d: (-abs(d[i]), i))  # type: ignore[misc]
        kept.append([d[i] if i in ranked[:count] else 0.0 for i in range(d.size)])
    out = []
    for entries in zip(*kept, strict=True):
        votes = [w * x for w, x in zip(weights, entries, strict=True)]
        chosen = [j for j, vote in enumerate(votes) if vote * sum(votes) > 0]
        out.append(sum(votes[j] for j in chosen) / sum(weights[j] for j in chosen) if chosen else 0.0)
    return np.array(out).reshape(deltas.shape[1:])


@pytest.mark.parametrize("density", [0.001, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("equal", [False, True])
def test_ties_by_a_slow_loop(density: float, equal: bool) -> None:
    deltas = np.random.default_rng(3).standard_normal((3, 8, 11))
    # halves, so that many magnitudes are equal, and some votes cancel
    deltas = np.round(2 * deltas) / 2 if equal else deltas
    for weights in ([1.0, 1.0, 1.0], [1.0, 2.0, 0.5]):
        values = torch.tensor(deltas)
        assert np.allclose(trim_elect_mean(values, context(values, weights), density).numpy(), slow_ties(deltas, weights, density))


def test_ties_by_hand() -> None:
    values = torch.tensor([[[4.0, -1.0, 2.0, 2.0]], [[-3.0, 5.0, 1.0, -2.0]]])
    # each keeps two: (4, 0, 2, 0), of equal ones the first, and (-3, 5, 0, 0); 4 wins over -3
    assert trim_elect_mean(values, context(values), 0.5).tolist() == [[4, 5, 2, 0]]
    assert trim_elect_mean(values, context(values, [1, 2]), 0.5).tolist() == [[-3, 5, 2, 0]]
