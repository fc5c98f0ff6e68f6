"""A made planet: population and land classes by cell, two models of where a photo was taken, predictors of the classes that err."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...outputs.geolocation.blur import blur
from ...outputs.geolocation.distance import great_circle_km
from ...outputs.geolocation.grid import equal_angle_grid
from ...outputs.geolocation.rasterize import attribute_map

SIDES = (36, 72)
QUERIES = 600
POPULATION = (0.55, 0.25, 0.15, 0.05)  # shares of cells; buckets from 2 on are urban
URBAN_FROM = 2
LAND_CLASSES = 6
CELL_KM = 555.97  # five degrees
BUMPS = (4.0, 5.0)  # widths of the two models' bumps, in cells
URBAN_PRIOR = 8.0
MISS = 0.7  # standard deviation of a bump's centre, as a share of the bump's width
NOISE = 1.0  # standard deviation of the log of a map
RIGHT = {"population": 0.8, "land": 0.6}
CONFIDENCE = 0.7

Maps = NDArray[np.float64]


@dataclass(frozen=True)
class Planet:
    """A made planet with its queries and what every source says of them."""

    grid: Any
    truth: NDArray[np.intp]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    kind: NDArray[np.str_]
    models: list[Maps]
    preference: NDArray[np.float64]
    attributes: dict[str, Maps]


def make_planet(seed: int, *, queries: int = QUERIES, smooth: float = 0.0) -> Planet:
    """Classes drawn cell by cell, or in patches of `smooth` km; places drawn by area; two models that prefer towns."""
    random = np.random.default_rng(seed)
    grid = equal_angle_grid(*SIDES)
    rasters = {
        "population": _classes(random, grid, POPULATION, smooth),
        "land": _classes(random, grid, (1 / LAND_CLASSES,) * LAND_CLASSES, smooth),
    }
    truth = random.choice(grid.cells, size=queries, p=grid.areas / grid.areas.sum())
    lat, lon = grid.centres(truth)
    urban = rasters["population"] >= URBAN_FROM
    preference = np.where(urban, URBAN_PRIOR, 1.0)
    models = [_bumps(random, grid, lat, lon, width * CELL_KM) * preference for width in BUMPS]
    attributes = {
        name: attribute_map(_predictions(random, raster[truth], int(raster.max()) + 1, RIGHT[name]), raster)
        for name, raster in rasters.items()
    }
    return Planet(grid, truth, lat, lon, np.where(urban[truth], "urban", "rural"), models, preference, attributes)


def _classes(random: np.random.Generator, grid: Any, shares: Sequence[float], smooth: float) -> NDArray[np.intp]:
    """A class for each cell, with these shares of the cells."""
    field = random.random((1, grid.cells))
    if smooth:
        field = blur(field, grid, smooth) / grid.areas
    ranks = np.argsort(np.argsort(field[0]))
    return np.searchsorted(np.cumsum(shares)[:-1] * grid.cells, ranks, side="right")


def _bumps(random: np.random.Generator, grid: Any, lat: NDArray[np.float64], lon: NDArray[np.float64], km: float) -> Maps:
    """A Gaussian about a place that misses the true one, in noise: one map a query."""
    miss = np.degrees(MISS * km / 6371.0) * random.standard_normal((2, len(lat)))
    north = np.clip(lat + miss[0], -90, 90)
    east = lon + miss[1] / np.maximum(np.cos(np.radians(lat)), 0.1)
    distance = great_circle_km(north[:, None], east[:, None], *(values[None, :] for values in grid.centres()))
    return np.exp(-((distance / km) ** 2) / 2 + NOISE * random.standard_normal(distance.shape))


def _predictions(random: np.random.Generator, true: NDArray[np.intp], classes: int, right: float) -> Maps:
    """Probabilities with 0.7 on one class, which is the true one so often and else any other."""
    wrong = (true + random.integers(1, classes, size=len(true))) % classes
    named = np.where(random.random(len(true)) < right, true, wrong)
    p = np.full((len(true), classes), (1 - CONFIDENCE) / (classes - 1))
    p[np.arange(len(true)), named] = CONFIDENCE
    return p
