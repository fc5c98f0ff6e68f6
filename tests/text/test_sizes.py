"""Sizes as people write them."""

from __future__ import annotations

import pytest

from modelweave.errors import ParameterError
from modelweave.text.sizes import human_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9), ("1GiB", 1 << 30), ("500MB", 500_000_000), ("500 mb", 500_000_000), ("1.5kB", 1500), ("2K", 2000),
        (".5KiB", 512), ("1e", None), ("12", 12), (12, 12), ("7B", 7), ("9007199254740993", 9007199254740993), ("1TiB", 1 << 40),
        (True, None), (1.5, None), (None, None), ("", None), ("GB", None), ("-1GB", None), ("0", None), (0, None), (-5, None),
        ("nan", None), ("inf", None), ("1 G B", None), ("5GBB", None), ("1,5GB", None), ("٣GB", None),
    ],
)  # fmt: skip
def test_parse_size(text, size):
    if size is None:
        with pytest.raises(ParameterError, match=r"^--memory: expected"):
            parse_size(text, "--memory")
    else:
        assert parse_size(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_996, "10.0 kB"), (99_960, "100 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
     (13_500_000_000, "13.5 GB"), (5 * 10**18, "5000 PB")],
)  # fmt: skip
def test_human_size(size, text):
    assert human_size(size) == text
