import math

import numpy as np
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.geolocation.grid import EARTH_AREA_KM2, equal_angle_grid, equal_area_grid


@pytest.mark.parametrize("make", [equal_angle_grid, equal_area_grid])
@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (36, 72), (181, 7), (500, 1000)])
def test_all_cells_together_are_the_sphere(make, sides):
    grid = make(*sides)
    assert grid.areas.sum() == pytest.approx(4 * math.pi * 6371.0088**2, rel=1e-12)
    assert grid.areas.shape == (grid.cells,) == (sides[0] * sides[1],)


def test_areas_by_hand():
    assert pytest.approx(510_065_881.0, abs=5) == EARTH_AREA_KM2
    rows = equal_angle_grid(180, 360).row_areas
    assert rows[[89, 90, 29, 0, 179]].round(2).tolist() == [12363.72, 12363.72, 6088.42, 107.90, 107.90]


def test_areas_are_differences_of_sines_in_exact_arithmetic():
    from fractions import Fraction

    grid = equal_angle_grid(9, 4)
    for row in range(9):
        north, south = (math.sin(math.radians(Fraction(90) - Fraction(20) * i)) for i in (row, row + 1))
        assert grid.row_areas[row] == pytest.approx(6371.0088**2 * math.pi / 2 * (north - south), rel=1e-13)


def test_equal_area_cells_are_equal_to_the_bit_and_their_edges_agree():
    grid = equal_area_grid(50, 100)
    assert len(set(grid.areas)) == 1
    assert np.diff(np.sin(np.radians(grid.lat_edges))) == pytest.approx(np.full(50, -2 / 50), abs=1e-14)


@pytest.mark.parametrize("grid", [equal_angle_grid(36, 72), equal_area_grid(31, 17), equal_angle_grid(1, 1)])
def test_every_centre_lies_in_its_own_cell(grid):
    assert grid.cell_of(*grid.centres()).tolist() == list(range(grid.cells))


def test_places_go_where_a_scan_over_all_cells_puts_them():
    grid, random = equal_area_grid(13, 11), np.random.default_rng(0)
    lat, lon = random.uniform(-90, 90, 300), random.uniform(-180, 180, 300)
    for cell, north, east in zip(grid.cell_of(lat, lon), lat, lon, strict=True):
        inside = [
            row * 11 + column
            for row in range(13)
            for column in range(11)
            if grid.lat_edges[row] >= north > grid.lat_edges[row + 1] and grid.lon_edges[column] <= east < grid.lon_edges[column + 1]
        ]
        assert inside == [cell]


def test_longitudes_wrap_and_poles_have_cells():
    grid = equal_angle_grid(180, 360)
    assert grid.cell_of(0.5, -180) == grid.cell_of(0.5, 180) == grid.cell_of(0.5, 540) == grid.cell_of(0.5, -540)
    assert grid.cell_of(0.5, 190.5) == grid.cell_of(0.5, -169.5)
    assert grid.cell_of(0.5, np.nextafter(180, 0)) == grid.cell_of(0.5, -180) + 359
    assert grid.cell_of(0.5, np.nextafter(-180, -181)) in (grid.cell_of(0.5, -180) + 359, grid.cell_of(0.5, -180))
    assert grid.cell_of([90, -90], [-180, -180]).tolist() == [0, 179 * 360]
    assert grid.cell_of(-90, 179.5) == grid.cells - 1


@pytest.mark.parametrize("make", [equal_angle_grid, equal_area_grid])
def test_an_edge_belongs_to_the_south_and_the_east_of_it(make):
    """Not one edge of any grid may be lost to rounding."""
    grid = make(500, 1000)
    assert (grid.cell_of(grid.lat_edges[:-1], -180.0) // 1000).tolist() == list(range(500))
    assert grid.cell_of(90.0, grid.lon_edges).tolist() == [*range(1000), 0]


@pytest.mark.parametrize(("lat", "lon"), [(90.1, 0), (math.nan, 0), (0, math.nan), (0, math.inf), (120, 30)])
def test_places_off_the_earth_are_refused(lat, lon):
    with pytest.raises(CompatibilityError, match="latitudes in"):
        equal_angle_grid(4, 4).cell_of(lat, lon)


def test_a_grid_has_cells():
    with pytest.raises(ParameterError, match="at least 1, got 0 x 4"):
        equal_area_grid(0, 4)
