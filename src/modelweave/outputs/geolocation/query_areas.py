"""The area that is searched until a place is found, without sorting: compare every cell with the true one, and add up areas."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError

Rank = Literal["score", "density"]
Ties = Literal["index", "pessimistic"]

# A tile is 16 Ki cells of as many queries as make 128 Ki scores: its buffers stay in the second-level cache. The sum of a query is
# rounded at the tiles' edges along cells only, so its bits depend neither on the number of threads nor on the other queries.
TILE_CELLS = 16_384
TILE_SCORES = 131_072


def areas_of_block(
    block: NDArray[Any],
    areas: NDArray[np.float64],
    truth: NDArray[np.intp],
    *,
    rank: Rank,
    ties: Ties,
    pool: ThreadPoolExecutor | None = None,
) -> NDArray[np.float64]:
    """km^2 of the other cells that rank before the true one, for each row of the block.

    block: (queries, cells). areas: (cells,) km^2. truth: (queries,). pool: threads to share the rows.
    Raises CompatibilityError for scores that are negative, infinite or NaN.
    """
    if rank == "density" and areas.min() == areas.max():
        rank = "score"  # the same order, without the rounding of a quotient
    height = max(1, TILE_SCORES // min(TILE_CELLS, len(areas)))
    parts = [slice(start, start + height) for start in range(0, len(block), height)]

    def work(part: slice) -> NDArray[np.float64]:
        return _areas_of_rows(block[part], areas, truth[part], by_density=rank == "density", ties=ties)

    found = [work(part) for part in parts] if pool is None or len(parts) == 1 else list(pool.map(work, parts))
    return np.concatenate(found) if found else np.empty(0)


def _areas_of_rows(
    block: NDArray[Any], areas: NDArray[np.float64], truth: NDArray[np.intp], *, by_density: bool, ties: Ties
) -> NDArray[np.float64]:
    """Area before the true cell of a few rows: tile by tile, cells with a higher score, and of equal ones those that come first."""
    own = block[np.arange(len(block)), truth][:, None]
    if by_density:
        own = own / areas[truth][:, None]
    place = truth[:, None]
    before = np.zeros(len(block))
    for start, tile in _tiles(block):
        index = np.arange(start, start + tile.shape[1])
        here = areas[start : start + tile.shape[1]]
        scores = tile / here if by_density else tile
        first, equal = scores > own, scores == own
        equal &= index < place if ties == "index" else index != place
        first |= equal
        # Rows in C's order whatever the maps' order is: the order of memory is the order of the sum.
        before += np.multiply(here, first, order="C").sum(axis=1)
    return before


def _tiles(block: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, block.shape[1], TILE_CELLS):
        tile = block[:, start : start + TILE_CELLS]
        if tile.dtype.kind != "u" and not (tile.min() >= 0 and tile.max() < np.inf):  # NaN fails both
            raise CompatibilityError("recall_vs_area: maps must be finite and not negative; exponentiate log scores first")
        yield start, tile
