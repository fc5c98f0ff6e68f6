"""Model Breadcrumbs by hand."""

from __future__ import annotations

import pytest
import torch

import modelweave

from .helpers import merged_rows


def test_breadcrumbs_by_hand() -> None:
    w = [[10, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.5]]
    found = merged_rows([w], [[0] * 5, [0] * 5], method="breadcrumbs", density=0.4, gamma=0.2)
    assert found == [0, 1, 2, 3, 0, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize("gamma", [0.0, 0.01])
def test_breadcrumbs_keeps_its_share_where_gamma_drops_nothing(gamma: float) -> None:
    found = merged_rows([range(1, 11)], [0] * 10, method="breadcrumbs", density=0.5, gamma=gamma)
    assert found == [0, 0, 0, 0, 0, 6, 7, 8, 9, 10]


def test_breadcrumbs_within_rows_by_hand() -> None:
    base = {"w": torch.zeros(2, 5)}
    member = {"w": torch.tensor([[10.0, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.5]])}
    found = {u: modelweave.merge([member], method="breadcrumbs", base=base, density=0.4, gamma=0.2, unit=u)["w"] for u in ("row", "tensor")}
    assert found["row"].tolist() == torch.tensor([[0, 0, 0, 3, 4], [0, 0, 0.3, 0.4, 0]]).tolist()
    assert found["tensor"].tolist() == torch.tensor([[0, 1, 2, 3, 0], [0, 0, 0, 0, 0.5]]).tolist()
