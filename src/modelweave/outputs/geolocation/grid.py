"""The Earth in cells: rows of equal height in degrees or of equal area, the area of each cell, and the cell of a place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError

EARTH_RADIUS_KM = 6371.0088
EARTH_AREA_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of the whole Earth, row after row from the north, each row from longitude -180 eastwards: cell = row * columns + column.

    Attributes:
        lat_edges: (rows + 1,) degrees, falling from 90 to -90.
        row_areas: (rows,) km^2 of one cell of each row.
        columns: cells a row.

    >>> equal_area_grid(4, 8).cells
    32
    """

    lat_edges: NDArray[np.float64]
    row_areas: NDArray[np.float64]
    columns: int

    @property
    def rows(self) -> int:
        """Rows from pole to pole."""
        return len(self.row_areas)

    @property
    def cells(self) -> int:
        """Cells of the whole Earth."""
        return self.rows * self.columns

    @cached_property
    def lon_edges(self) -> NDArray[np.float64]:
        """(columns + 1,) degrees from -180 to 180, which are the same meridian."""
        return -180.0 + 360.0 * np.arange(self.columns + 1) / self.columns

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(cells,) km^2."""
        return np.repeat(self.row_areas, self.columns)

    def centres(self, cells: ArrayLike | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes in degrees, halfway between the edges; of all cells, or of those given.

        >>> equal_angle_grid(2, 4).centres([0, 7])
        (array([ 45., -45.]), array([-135.,  135.]))
        """
        row, column = np.divmod(np.arange(self.cells) if cells is None else np.asarray(cells), self.columns)
        lat, lon = ((edges[1:] + edges[:-1]) / 2 for edges in (self.lat_edges, self.lon_edges))
        return lat[row], lon[column]

    def cell_of(self, lat: ArrayLike, lon: ArrayLike) -> NDArray[np.intp]:
        """The cell of each place.

        A cell holds its northern and its western edge; the last row holds the south pole too. Any longitude will do: 180, -180 and 540
        are one meridian.

        Args:
            lat: degrees in [-90, 90].
            lon: degrees; the two broadcast.

        Returns:
            Indices with the shape of both.

        Raises:
            CompatibilityError: for other latitudes and for NaN or infinity.

        >>> equal_angle_grid(2, 4).cell_of([90, -90, 10], [180, 179, -0.5])
        array([0, 7, 1])
        """
        lat, lon = np.broadcast_arrays(np.asarray(lat, np.float64), np.asarray(lon, np.float64))
        if not (np.all(np.abs(lat) <= 90) and np.all(np.isfinite(lon))):
            raise CompatibilityError("cell_of: expected latitudes in [-90, 90] and finite longitudes, in degrees; are the two swapped?")
        row = np.searchsorted(-self.lat_edges, -lat, side="right") - 1
        inside = (lon >= -180) & (lon < 180)
        # Only what is outside is wrapped: wrapping rounds, and a place on an edge would change its cell.
        column = np.searchsorted(self.lon_edges, np.where(inside, lon, np.mod(lon + 180, 360) - 180), side="right") - 1
        return np.asarray(np.minimum(row, self.rows - 1) * self.columns + column % self.columns, np.intp)


def equal_angle_grid(rows: int, columns: int) -> Grid:
    """Cells of 180 / rows by 360 / columns degrees; 5000 x 10000, 4 km at the equator, is that of the source.

    area = R^2 * width in radians * (sin(north) - sin(south)), with R = 6371.0088 km.

    Args:
        rows: at least 1.
        columns: at least 1.

    Raises:
        ParameterError: for less.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862.

    >>> equal_angle_grid(180, 360).row_areas[[0, 29, 89]].round(2)
    array([  107.9 ,  6088.42, 12363.72])
    """
    _check_sides(rows, columns)
    lat_edges = 90.0 - 180.0 * np.arange(rows + 1) / rows
    north, south = np.radians(lat_edges[:-1]), np.radians(lat_edges[1:])
    # sin(a) - sin(b) as a product: near the poles the difference would lose digits, and north and south would not mirror each other
    heights = 2 * np.cos((north + south) / 2) * np.sin((north - south) / 2)
    heights = (heights + heights[::-1]) / 2
    return Grid(lat_edges, EARTH_RADIUS_KM**2 * (2 * np.pi / columns) * heights, columns)


def equal_area_grid(rows: int, columns: int) -> Grid:
    """Cells of one area, exactly: equal steps in sin(latitude), and in longitude.

    sin(edge of row i) = 1 - 2 i / rows; area = 4 pi R^2 / (rows * columns). On it, ranking by score and ranking by density are the same.

    Args:
        rows: at least 1.
        columns: at least 1.

    Raises:
        ParameterError: for less.

    Source: Lambert's cylindrical equal-area projection.

    >>> equal_area_grid(4, 8).lat_edges.round(1)
    array([ 90.,  30.,   0., -30., -90.])
    """
    _check_sides(rows, columns)
    lat_edges = np.degrees(np.arcsin(1 - 2 * np.arange(rows + 1) / rows))
    return Grid(lat_edges, np.full(rows, EARTH_AREA_KM2 / (rows * columns)), columns)


def _check_sides(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise ParameterError(f"grid: rows and columns must be at least 1, got {rows} x {columns}")
