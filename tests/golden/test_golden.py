"""Results stay what they were: to the bit where arithmetic is exact everywhere, to rounding where libraries multiply matrices."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import modelweave

from .cases import blends, merged, merges, on_matrices
from .record import NUMBERS, SUMS, digest, flat

RENAMED = {"strangeness": "nonconformity"}
"""Keys of a blend's JSON that are called otherwise now than in the record."""
MERGES, BLENDS = dict(merges()), dict(blends())
RECORD = json.loads(SUMS.read_text())


@pytest.mark.parametrize("name", [name for name, arguments in MERGES.items() if not on_matrices(arguments)])
def test_a_merge_has_the_bytes_of_the_record(name: str) -> None:
    assert digest(merged(MERGES[name])) == RECORD["merge"][name]


@pytest.mark.parametrize("name", [name for name, arguments in MERGES.items() if on_matrices(arguments)])
def test_a_merge_on_matrices_has_the_values_of_the_record(name: str) -> None:
    with np.load(NUMBERS) as record:
        step = 2e-2 if name.endswith("/bf16") else 1e-4
        np.testing.assert_allclose(flat(merged(MERGES[name])), record[name], rtol=step, atol=step)


@pytest.mark.parametrize("name", BLENDS)
def test_a_blend_has_the_numbers_of_the_record(name: str) -> None:
    arguments = BLENDS[name]
    same(json.loads(modelweave.blend(**arguments).to_json()), RECORD["blend"][name], name)


def same(found: Any, record: Any, where: str) -> None:
    """Equal words and structure, equal numbers to six digits."""
    if isinstance(record, dict):
        record = {RENAMED.get(key, key): value for key, value in record.items()}
        assert set(found) == set(record), where
        for key, value in record.items():
            same(found[key], value, f"{where}/{key}")
    elif isinstance(record, list):
        assert len(found) == len(record), where
        for place, value in enumerate(record):
            same(found[place], value, f"{where}[{place}]")
    elif isinstance(record, float):
        assert found == pytest.approx(record, rel=1e-6, abs=1e-9), where
    else:
        assert found == record, where
