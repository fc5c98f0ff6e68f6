"""Recall vs Area: how much of the Earth has to be searched, in the order of a map's scores, until the true place is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError, unknown
from .area_result import AreaResult
from .query_areas import Rank, Ties, areas_of_block

Maps: TypeAlias = ArrayLike | Iterable[ArrayLike] | Callable[[int, int], ArrayLike]

CALLED_BYTES = 1 << 26  # what one call is asked for, as float64: 8 maps of a million cells


def recall_vs_area(
    maps: Maps,
    areas: ArrayLike,
    truth: ArrayLike,
    *,
    rank: Rank = "score",
    ties: Ties = "index",
    last_cell: float = 1.0,
    lowest: float = 10.0,
    threads: int | None = None,
) -> AreaResult:
    """The area that each query's map must be searched for the true place, and recall as a function of area.

    area(q) = sum of areas of the cells that rank before the true cell + last_cell * area of the true cell;
    recall(a) = share of queries with area <= a.

    No sort is needed: one comparison with the true cell's score tells which cells rank before it.

    Args:
        maps: Scores, finite and not negative, on any scale: an array (queries, cells), an iterable of blocks of its rows, or a function
            (start, stop) -> rows start to stop, called in order from one thread. Only one block is held at a time.
        areas: (cells,) km^2, above 0.
        truth: (queries,) index of the true cell.
        rank: "score", or "density", which is score / area; on cells of equal area they are the same. A mass (probabilities that sum
            to 1) is searched best by density, a likelihood by score.
        ties: Of cells with the true cell's score, "index" counts those before it, "pessimistic" all of them. Maps that are constant
            over regions need "pessimistic": by index the first cells of such a region are found for nothing.
        last_cell: Share of the true cell's own area that counts, in [0, 1]; 0.5 is the mean over places inside it.
        lowest: km^2, above 0, where the axis of the curve and of the normalised area begins.
        threads: How many share the rows, by default one for each processor; the result is the same to the bit.

    Returns:
        The area of each query in km^2, with recall, curves, medians and bootstrap intervals read off it.

    Raises:
        CompatibilityError: For shapes that do not fit, scores that are negative or not finite, and areas that are not positive.
        ParameterError: For options that are unknown or out of range.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862, who say neither how they rank nor how they break ties.

    >>> found = recall_vs_area([[0.4, 0.3, 0.2, 0.1]] * 4, [4, 1, 2, 3], [0, 1, 2, 3], lowest=1)
    >>> found.area, found.recall(7.0), found.median_area
    (array([ 4.,  5.,  7., 10.]), 0.75, 6.0)
    """
    _check_options(rank, ties, last_cell, lowest, threads)
    sizes, places = _checked_areas(areas), _checked_truth(truth)
    if places.max() >= len(sizes):
        raise CompatibilityError(f"recall_vs_area: truth names cell {places.max()}, but there are {len(sizes)} areas; cells count from 0")
    before = np.empty(len(places))
    done = 0
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for block in _blocks(maps, len(places), len(sizes)):
            rows = slice(done, done + len(block))
            done = rows.stop
            if block.shape[1] != len(sizes) or done > len(places):
                raise CompatibilityError(
                    f"recall_vs_area: expected maps of {len(places)} queries x {len(sizes)} cells (the lengths of truth and areas), "
                    f"got a block of {block.shape[0]} x {block.shape[1]} for the rows from {rows.start}"
                )
            before[rows] = areas_of_block(block, sizes, places[rows], rank=rank, ties=ties, pool=None if threads == 1 else pool)
    if done < len(places):
        raise CompatibilityError(f"recall_vs_area: maps end after {done} queries, truth has {len(places)}")
    return AreaResult(before + last_cell * sizes[places], float(sizes.sum()), rank=rank, ties=ties, lowest=lowest)


def _blocks(maps: Maps, queries: int, cells: int) -> Iterator[NDArray[Any]]:
    """The maps in blocks of rows, each as a 2-D array of numbers."""
    if callable(maps) and not hasattr(maps, "__array__"):
        step = max(1, CALLED_BYTES // (8 * cells))
        given: Iterable[ArrayLike] = (maps(start, min(start + step, queries)) for start in range(0, queries, step))
    elif hasattr(maps, "__array__") or isinstance(maps, list | tuple):
        given = (maps,)  # type: ignore[assignment]
    else:
        given = maps  # type: ignore[assignment]
    for block in given:
        array = np.asarray(block)
        if array.ndim != 2 or array.dtype.kind not in "fiub":
            raise CompatibilityError(
                f"recall_vs_area: expected maps as real numbers in 2 dimensions (queries, cells), got {array.dtype} in {array.ndim}; "
                "give several blocks as an iterator"
            )
        yield array


def _check_options(rank: str, ties: str, last_cell: float, lowest: float, threads: int | None) -> None:
    for kind, word, known in (("rank", rank, get_args(Rank)), ("ties", ties, get_args(Ties))):
        if word not in known:
            raise ParameterError(f"recall_vs_area: {unknown(kind, str(word), known)}")
    if not 0 <= last_cell <= 1:
        raise ParameterError(f"recall_vs_area: last_cell must be in [0, 1], got {last_cell}")
    if not 0 < lowest < np.inf:
        raise ParameterError(f"recall_vs_area: lowest must be an area above 0 km^2, got {lowest}")
    if threads is not None and threads < 1:
        raise ParameterError(f"recall_vs_area: threads must be at least 1, got {threads}")


def _checked_areas(areas: ArrayLike) -> NDArray[np.float64]:
    sizes = np.asarray(areas, np.float64)
    if sizes.ndim != 1 or not sizes.size or not (sizes.min() > 0 and sizes.max() < np.inf):
        raise CompatibilityError(f"recall_vs_area: expected areas as (cells,) finite km^2 above 0, got shape {sizes.shape}")
    return sizes


def _checked_truth(truth: ArrayLike) -> NDArray[np.intp]:
    places = np.asarray(truth)
    if places.ndim != 1 or not places.size or places.dtype.kind not in "iu" or places.min() < 0:
        raise CompatibilityError(
            f"recall_vs_area: expected truth as (queries,) cell indices from 0, got {places.dtype} of shape {places.shape}; "
            "a grid's cell_of finds the cell of a latitude and longitude"
        )
    return places.astype(np.intp)
