"""The measure that is usual for geolocation: how far the best point is from the true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError
from .grid import EARTH_RADIUS_KM, Grid

THRESHOLDS_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)  # street, city, region, country, continent


def great_circle_km(lat: ArrayLike, lon: ArrayLike, other_lat: ArrayLike, other_lon: ArrayLike) -> NDArray[np.float64]:
    """Kilometres along the great circle between places in degrees.

    2 R asin sqrt(sin^2(dlat / 2) + cos(lat) cos(lat') sin^2(dlon / 2)), R = 6371.0088 km.

    Args:
        lat: degrees.
        lon: degrees; all four broadcast.
        other_lat: degrees.
        other_lon: degrees.

    >>> float(great_circle_km(0, 0, 0, 180).round(1))
    20015.1
    """
    a, b = np.radians(np.asarray(lat, np.float64)), np.radians(np.asarray(other_lat, np.float64))
    turn = np.radians(np.asarray(other_lon, np.float64) - np.asarray(lon, np.float64))
    square = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(turn / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(square, 0, 1))))


def top_distances_km(maps: ArrayLike, grid: Grid, lat: ArrayLike, lon: ArrayLike) -> NDArray[np.float64]:
    """Kilometres from the centre of each map's highest cell, the first of equal ones, to the true place.

    Args:
        maps: (queries, cells).
        grid: of these cells.
        lat: (queries,) degrees.
        lon: (queries,) degrees.

    Returns:
        (queries,).

    Raises:
        CompatibilityError: for what does not fit.

    >>> from modelweave.outputs.geolocation.grid import equal_angle_grid
    >>> top_distances_km([[0, 1, 0, 0]], equal_angle_grid(2, 2), [45], [90])
    array([0.])
    """
    scores, north, east = np.asarray(maps), np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    if scores.ndim != 2 or scores.shape != (north.size, grid.cells) or north.shape != east.shape or north.ndim != 1:
        raise CompatibilityError(
            f"top_distances_km: expected maps of {north.size} queries x {grid.cells} cells and as many lat and lon, got {scores.shape}"
        )
    return great_circle_km(*grid.centres(scores.argmax(axis=1)), north, east)


def distance_accuracies(distances: ArrayLike, thresholds: Sequence[float] = THRESHOLDS_KM) -> dict[float, float]:
    """Share of distances at most each threshold.

    On a grid the finest are out of reach: the centre of a cell of 4 km is up to 2.8 km from a place inside of it.

    Args:
        distances: km.
        thresholds: km; the usual five are 1, 25, 200, 750 and 2500.

    Raises:
        CompatibilityError: for no distances or NaN.

    Source: Weyand et al. 2016, arXiv 1602.05314.

    >>> distance_accuracies([0.5, 30.0, 3000.0], thresholds=(1, 200))
    {1: 0.3333333333333333, 200: 0.6666666666666666}
    """
    values = np.asarray(distances, np.float64)
    if not values.size or np.isnan(values).any():
        raise CompatibilityError("distance_accuracies: expected at least one distance and no NaN")
    return {limit: float((values <= limit).mean()) for limit in thresholds}
