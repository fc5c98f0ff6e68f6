"""How many workers a run has."""

from __future__ import annotations

import os

import pytest

from modelweave.engine.options import thread_count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_one_for_each_core_that_the_process_may_run_on() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert thread_count(None) == 1
    finally:
        os.sched_setaffinity(0, before)
    assert thread_count(None) == len(before) and thread_count(3) == 3
