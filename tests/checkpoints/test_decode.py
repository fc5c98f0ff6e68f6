"""Decoding against PyTorch's own types."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelweave.checkpoints.decode import decode
from modelweave.checkpoints.dtypes import DTYPES


@pytest.mark.parametrize("tag", ["F8_E4M3", "F8_E5M2", "BF16", "F16", "I16", "U16"])
def test_every_bit_pattern(tag):
    size = DTYPES[tag].itemsize
    data = np.arange(256**size, dtype=f"u{size}").view(np.uint8)
    expected = torch.from_numpy(data.copy()).view(getattr(torch, DTYPES[tag].torch)).float().numpy()
    found = decode(data, tag)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("tag", "kind"), [("F64", "f8"), ("F32", "f4"), ("I64", "i8"), ("I32", "i4"), ("U32", "u4"), ("U64", "u8"), ("I8", "i1")]
)
def test_wide_types(tag, kind):
    values = np.array([0, 1, 100, 2], kind)
    found = decode(values.view(np.uint8), tag)
    assert found.tolist() == [0, 1, 100, 2] and found.dtype == (np.float64 if tag == "F64" else np.float32)


def test_truth_values():
    assert decode(np.array([0, 1], np.uint8), "BOOL").tolist() == [0, 1]
