"""How a run computes, and how its result is written: what the engine takes beside a plan."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ..errors import ParameterError
from ..text.sizes import parse_size

Progress = Callable[[int, int], None]
"""(done, total) in bytes read and written."""


@dataclass(frozen=True)
class RunOptions:
    """How tensors are computed; results depend on the seed alone, and on allow_nonfinite.

    threads: workers, the number of cores by default. memory: bytes for buffers and statistics; a method that needs whole matrices
    takes them one at a time where two do not fit. device: of functions of tensors, `cpu` or `cuda`. seed: of random methods.
    allow_nonfinite: whether NaN and infinity are let through.
    """

    threads: int | None = None
    memory: int = 1 << 30
    device: str = "cpu"
    seed: int = 0
    allow_nonfinite: bool = False
    progress: Progress | None = None

    @classmethod
    def given(cls, *, memory: int | str = "1GiB", device: Any = "cpu", seed: int = 0, **more: Any) -> RunOptions:
        """From what a user gives: a size in words, a device of PyTorch's. Raises ParameterError."""
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise ParameterError(f"seed: expected a whole number from 0 on, got {seed!r}")
        return cls(memory=parse_size(memory, "memory"), device=str(device), seed=int(seed), **more)

    @property
    def workers(self) -> int:
        return thread_count(self.threads)


@dataclass(frozen=True)
class FolderOptions:
    """How a result is written.

    resume: take up what an interrupted run finished. shard_size: bytes of a file at most. hash_inputs: read files of 256 MiB and more
    once again for their SHA-256, in the record. sync: force everything to the disk before the folder appears, so that a power cut leaves
    no less than a kill does.
    """

    resume: bool = False
    shard_size: int = 5_000_000_000
    hash_inputs: bool = False
    sync: bool = False


def thread_count(threads: int | None) -> int:
    """The workers to use, by default one for each core that this process may run on."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1):
        raise ParameterError(f"threads: expected a whole number from 1 on, got {threads!r}")
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
