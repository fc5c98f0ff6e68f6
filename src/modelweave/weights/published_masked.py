"""Methods that choose or weigh entry by entry, beyond mergekit's, one row each."""

from __future__ import annotations

from ..method import Method

ROWS: tuple[Method, ...] = ()
