"""Keep the largest changes of each small block, those that no earlier member keeps (CABS)."""

from __future__ import annotations

from ..part import Blocks, selection


@selection("n", "m")
def cabs(count: int, *, n: int, m: int) -> Blocks:
    """Of every m neighbours along the last axis the n largest changes that no earlier member has taken.

    The members' order matters: the first chooses freely. The authors' code for RoBERTa drops a shorter block at the end of a row whole, the
    one for 7B models refuses such tensors. Source: Yang et al. 2025, arXiv 2503.01874; n:m on what is not yet taken as in the authors'
    prune_task_vector.py. Their script for 7B models lets supports overlap where n >= m / 2; here they never do.

    >>> cabs(1024, n=64, m=256)
    Blocks(n=64, m=256)
    """
    return Blocks(n, m)
