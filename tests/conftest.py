"""Shared by all tests."""

from __future__ import annotations

collect_ignore = ["oracles/make_mergekit_numbers.py"]
