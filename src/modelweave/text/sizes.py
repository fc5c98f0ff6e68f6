"""Amounts of bytes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Integral
from typing import Any

from ..errors import ParameterError

_LETTERS = "kmgtp"
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate(_LETTERS, start=1):
    _UNITS |= {_letter: 1000**_power, f"{_letter}b": 1000**_power, f"{_letter}ib": 1024**_power}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.ASCII)


def parse_size(size: Any, where: str = "size") -> int:
    """Bytes from "5GB" (thousands), "1GiB" (1024s), "500MB", or a whole number of bytes.

    Raises ParameterError, begun with `where`, for anything else and for less than one byte.

    >>> parse_size("5GB"), parse_size("1GiB"), parse_size(512)
    (5000000000, 1073741824, 512)
    """
    found = _FORM.fullmatch(str(size).strip().lower())
    if isinstance(size, bool) or not isinstance(size, (Integral, str)) or found is None or found[2] not in _UNITS:
        raise ParameterError(f"{where}: expected a size such as 5GB, 500MB or 1GiB, got {size!r:.40}")
    result = int(Decimal(found[1]) * _UNITS[found[2]])
    if result < 1:
        raise ParameterError(f"{where}: expected at least one byte, got {size!r:.40}")
    return result


def human_size(size: int) -> str:
    """Bytes with three digits or more, in thousands.

    >>> human_size(999), human_size(13_500_000_000), human_size(999_999)
    ('999 B', '13.5 GB', '1.00 MB')
    """
    if abs(size) < 1000:
        return f"{size} B"
    value = float(size)
    for letter in _LETTERS.upper().replace("K", "k"):
        value /= 1000
        digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
        if abs(value) < 999.5:
            return f"{value:.{digits}f} {letter}B"
    return f"{value:.0f} PB"
