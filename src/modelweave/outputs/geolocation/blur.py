"""A Gaussian blur on the sphere, in kilometres, that loses no mass at the poles or at the date line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError, ParameterError
from .distance import great_circle_km
from .grid import EARTH_RADIUS_KM, Grid

REACH = 5.0  # standard deviations between rows that are looked at; beyond it the kernel is below 4e-6


def blur(maps: NDArray[np.float64], grid: Grid, km: float) -> NDArray[np.float64]:
    """Spread each cell's mass over the cells around it, by great-circle distance between centres.

    out[j] = sum_i maps[i] * w[i, j] / (sum_j w[i, j]), with w[i, j] = areas[j] * exp(-distance(i, j)^2 / (2 km^2)).

    Two rows of a grid see each other by the difference of longitudes alone, so a pair of rows is one circular convolution, done by FFT.
    maps: (queries, cells) masses. km: standard deviation, above 0. Returns (queries, cells) with the same sums.
    Raises CompatibilityError if the maps do not have the grid's cells, ParameterError for km.
    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862, leave the blur open; this one is inferred.

    >>> from modelweave.outputs.geolocation.grid import equal_angle_grid
    >>> spot = np.zeros((1, 8)); spot[0, 0] = 1
    >>> float(blur(spot, equal_angle_grid(2, 4), 2000.0).sum().round(12))
    1.0
    """
    if not 0 < km < np.inf:
        raise ParameterError(f"blur: km must be above 0, got {km}")
    if maps.ndim != 2 or maps.shape[1] != grid.cells:
        raise CompatibilityError(f"blur: expected maps of {grid.cells} cells, got shape {maps.shape}")
    lat, _ = grid.centres(np.arange(grid.rows) * grid.columns)
    kernels = [_kernel(grid, lat, row, km) for row in range(grid.rows)]
    # What a cell of each row gives away in all, so that it can be scaled to 1.
    given = np.array([grid.row_areas[near] @ kernel[:, 0] for near, kernel in kernels])
    waves = np.fft.rfft(maps.reshape(len(maps), grid.rows, grid.columns), axis=2) / given[:, None]
    out = np.empty_like(waves)
    for row, (near, kernel) in enumerate(kernels):
        out[:, row] = grid.row_areas[row] * np.einsum("qrw,rw->qw", waves[:, near], kernel)
    return np.fft.irfft(out, n=grid.columns, axis=2).clip(0).reshape(maps.shape)


def _kernel(grid: Grid, lat: NDArray[np.float64], row: int, km: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(rows within reach, the Fourier transform over longitudes of the kernel between them and this row); it is even, so real."""
    near = np.flatnonzero(np.abs(lat - lat[row]) <= max(np.degrees(REACH * km / EARTH_RADIUS_KM), 1e-9))
    apart = 360.0 * np.arange(grid.columns) / grid.columns
    distance = great_circle_km(lat[row], 0.0, lat[near][:, None], apart[None, :])
    return near, np.fft.rfft(np.exp(-((distance / km) ** 2) / 2), axis=1).real
