"""Counts and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun, and what else depends on it. many: for more than one or none; by default `one` with an s.

    >>> counted(1, "tensor was", "tensors were"), counted(2000, "row")
    ('1 tensor was', '2,000 rows')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers with a dash for each unbroken run.

    >>> ranges([5, 0, 1, 2])
    '0-2, 5'
    """
    found = set(numbers)
    starts, ends = sorted(n for n in found if n - 1 not in found), sorted(n for n in found if n + 1 not in found)
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def number(value: float | None) -> str:
    """Four digits; "-" where there is no number.

    >>> number(0.123456), number(float("nan")), number(None)
    ('0.1235', '-', '-')
    """
    return "-" if value is None or value != value else f"{value:.4g}"


def fixed(value: float | None, digits: int = 3) -> str:
    """So many decimals, in which zero has no sign; "-" where there is no number.

    >>> fixed(-0.0001522), fixed(0.25), fixed(None)
    ('0.000', '0.250', '-')
    """
    # adding 0 turns -0 into 0
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def percent(share: float | None) -> str:
    """A share in per cent, without the sign; "-" where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"
