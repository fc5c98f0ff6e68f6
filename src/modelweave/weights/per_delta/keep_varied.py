"""Keep the places where the members differ most (the S of SCE)."""

from __future__ import annotations

from ..part import Ranks, shared_selection


@shared_selection("select_topk")
def keep_varied(nonzero: int, *, select_topk: float) -> Ranks | None:
    """The `select_topk` share of the places whose variance over the members is not zero; None keeps all.

    Source: Wan et al. 2024 (FuseChat, SCE), section 3.3.

    >>> keep_varied(10, select_topk=0.5)
    Ranks(first=0, count=5, with_equals=False, by_row=False)
    """
    return None if select_topk >= 1 else Ranks(0, int(nonzero * select_topk))
