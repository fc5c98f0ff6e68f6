import math

import numpy as np
import pytest

from modelweave.errors import CompatibilityError
from modelweave.outputs.geolocation.distance import distance_accuracies, great_circle_km, top_distances_km
from modelweave.outputs.geolocation.grid import equal_angle_grid

R = 6371.0088


def test_known_distances():
    assert great_circle_km(0, 0, 0, 1) == pytest.approx(R * math.pi / 180)
    assert great_circle_km(90, 33, -90, 120) == pytest.approx(R * math.pi)
    assert great_circle_km(10, -180, 10, 180) == pytest.approx(0, abs=1e-6)
    assert great_circle_km(80, 0, 80, 180) == pytest.approx(R * math.pi / 9)
    assert great_circle_km(48.8566, 2.3522, 40.7128, -74.0060) == pytest.approx(5837, abs=1)  # Paris to New York
    assert great_circle_km(5, 5, 5, 5) == 0


def test_as_the_angle_between_vectors_says():
    random = np.random.default_rng(0)
    lat, lon = random.uniform(-90, 90, (2, 200)), random.uniform(-400, 400, (2, 200))
    a, b = np.radians(lat), np.radians(lon)
    x = np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    cross, dot = np.linalg.norm(np.cross(x[:, 0], x[:, 1], axis=0), axis=0), (x[:, 0] * x[:, 1]).sum(axis=0)
    assert great_circle_km(lat[0], lon[0], lat[1], lon[1]) == pytest.approx(R * np.arctan2(cross, dot), rel=1e-7)


def test_the_top_cell_is_the_first_of_equal_ones():
    grid = equal_angle_grid(2, 4)
    maps = np.zeros((2, 8))
    maps[0, [5, 6]] = 1
    lat, lon = grid.centres([5, 2])
    assert top_distances_km(maps, grid, lat, lon)[0] == 0
    assert top_distances_km(maps, grid, lat, lon)[1] == great_circle_km(45, -135, 45, 45)


def test_shares_up_to_and_with_the_threshold():
    assert distance_accuracies([0.0, 1.0, 25.1, 700.0, 9000.0]) == {1: 0.4, 25: 0.4, 200: 0.6, 750: 0.8, 2500: 0.8}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: distance_accuracies([]), "at least one"),
        (lambda: distance_accuracies([np.nan]), "NaN"),
        (lambda: top_distances_km([[1, 2]], equal_angle_grid(2, 4), [0], [0]), "1 queries x 8 cells"),
        (lambda: top_distances_km([[1, 2]], equal_angle_grid(1, 2), [0], [0, 1]), "as many lat and lon"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(CompatibilityError, match=words):
        call()
