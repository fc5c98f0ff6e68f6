"""Methods that depend on a layer's place, on arrival, or on one model alone, one row each."""

from __future__ import annotations

from ..method import Method

ROWS: tuple[Method, ...] = ()
