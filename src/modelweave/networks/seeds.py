"""Random numbers: seeded for a while, noted, and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import CompatibilityError

Generator = torch.Generator | np.random.Generator


@contextmanager
def seeded(seed: int | None, *, numpy: bool = False, python: bool = False, single_thread: bool = False) -> Iterator[None]:
    """A block whose random numbers depend on the seed alone; afterwards every generator and setting is as it was.

    Args:
        seed: of torch, on all its devices. None: random numbers go on from where they are, and are not put back.
        numpy: whether numpy's global generator is seeded, too.
        python: whether Python's is.
        single_thread: whether torch computes on one thread, which is faster for small networks.

    >>> with seeded(0):
    ...     first = torch.rand(3)
    >>> with seeded(0):
    ...     bool((torch.rand(3) == first).all())
    True
    """
    threads = torch.get_num_threads()
    before = None if seed is None else random_state()
    try:
        if single_thread:
            torch.set_num_threads(1)
        if seed is not None:
            torch.manual_seed(seed)
            if numpy:
                np.random.seed(seed % 2**32)  # noqa: NPY002, for code that draws from it
            if python:
                random.seed(seed)
        yield
    finally:
        if before is not None:
            restore_random_state(before)
        if single_thread:
            torch.set_num_threads(threads)


def random_state(generators: Sequence[Generator] = ()) -> dict[str, Any]:
    """Where the random numbers of torch, numpy and Python stand, and those of further generators; tensors and plain values only."""
    word, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
        "numpy": [word, torch.from_numpy(np.array(keys, np.int64)), *rest],
        "python": random.getstate(),
        "generators": [g.get_state() if isinstance(g, torch.Generator) else g.bit_generator.state for g in generators],
    }


def restore_random_state(state: dict[str, Any], generators: Sequence[Generator] = ()) -> None:
    """Put the random numbers back to where `random_state` found them. Raises CompatibilityError for another number of generators."""
    if len(state["generators"]) != len(generators):
        raise CompatibilityError(f"random state: noted for {len(state['generators'])} generators, got {len(generators)}; give the same")
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    word, keys, *rest = state["numpy"]
    np.random.set_state((word, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])
    for generator, noted in zip(generators, state["generators"], strict=True):
        if isinstance(generator, torch.Generator):
            generator.set_state(noted)
        else:
            generator.bit_generator.state = noted
