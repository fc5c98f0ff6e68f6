"""The same numbers as mergekit 0.1.5, which computed mergekit_numbers.npz with make_mergekit_numbers.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modelweave

from .cases import CASES, SHAPES

NUMBERS = np.load(Path(__file__).parent / "mergekit_numbers.npz")
KNOWN_DIFFERENCES = {("one", "breadcrumbs"), ("one", "breadcrumbs_ties")}
"""mergekit loses the whole change of a tensor with one element; here a single element passes."""


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_same_as_mergekit(case: Any, kind: str) -> None:
    name, method, count, with_base, shared, each = case
    base = {"w": torch.from_numpy(NUMBERS[f"{kind}/base"])} if with_base else None
    members = [{"w": torch.from_numpy(NUMBERS[f"{kind}/member{i}"])} for i in range(count)]
    merged = modelweave.merge(members, method=method, base=base, **shared, **each)["w"].numpy()
    if (kind, name) in KNOWN_DIFFERENCES:
        weights = each["weight"]
        whole = sum(w * (m["w"] - base["w"]) for w, m in zip(weights, members, strict=True))  # type: ignore[index]
        if method == "breadcrumbs":
            assert merged == pytest.approx((base["w"] + whole).numpy(), abs=1e-7)  # type: ignore[index]
        assert np.array_equal(NUMBERS[f"{kind}/{name}"], NUMBERS[f"{kind}/base"]) or kind == "one"
        return
    assert np.abs(merged - NUMBERS[f"{kind}/{name}"]).max() <= 2e-7
