"""Methods on singular vectors and Gram matrices, one row each."""

from __future__ import annotations

from ..method import Method

ROWS: tuple[Method, ...] = ()
