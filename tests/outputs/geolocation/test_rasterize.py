import numpy as np
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.geolocation.blur import blur
from modelweave.outputs.geolocation.distance import great_circle_km
from modelweave.outputs.geolocation.grid import equal_angle_grid, equal_area_grid
from modelweave.outputs.geolocation.rasterize import attribute_map, classifier_map, retriever_map


def test_a_region_keeps_its_mass_and_spreads_it_by_area():
    random = np.random.default_rng(0)
    p, regions, sizes = random.dirichlet(np.ones(5), size=7), random.integers(5, size=60), random.uniform(1, 9, 60)
    maps = classifier_map(p, regions, areas=sizes)
    for k in range(5):
        inside = regions == k
        assert maps[:, inside].sum(axis=1) == pytest.approx(p[:, k])
        assert maps[:, inside] / sizes[inside] == pytest.approx(np.broadcast_to(p[:, [k]] / sizes[inside].sum(), (7, inside.sum())))
    counted = classifier_map(p, regions.reshape(6, 10))
    assert counted == pytest.approx(np.array([[row[r] / np.sum(regions == r) for r in regions] for row in p]))


def test_cells_without_a_region_get_nothing_and_lost_regions_give_theirs_to_the_rest():
    assert classifier_map([[0.2, 0.3, 0.5]], [0, 1, -1, 1]).tolist() == [[pytest.approx(0.4), pytest.approx(0.3), 0, pytest.approx(0.3)]]
    assert classifier_map([[0.2, 0.8]], [0, 1, 99], nodata=99).tolist() == [[0.2, 0.8, 0]]


def test_a_retriever_adds_up_its_gallery_in_cells():
    grid, random = equal_angle_grid(6, 12), np.random.default_rng(1)
    lat, lon, similarities = random.uniform(-90, 90, 50), random.uniform(-180, 180, 50), random.normal(size=(4, 50))
    maps = retriever_map(similarities, lat, lon, grid, temperature=0.1)
    for query in range(4):
        weights = [np.exp(s / 0.1) for s in similarities[query]]
        slow = np.zeros(72)
        for cell, weight in zip(grid.cell_of(lat, lon), weights, strict=True):
            slow[cell] += weight / sum(weights)
        assert maps[query] == pytest.approx(slow)
    assert retriever_map([[1e6, 0]], [10, -10], [0, 0], grid, temperature=0.01).max() == 1  # nothing overflows


def slow_blur(masses, grid, km):
    lat, lon = grid.centres()
    out = np.zeros_like(masses)
    for i in range(grid.cells):
        weight = grid.areas * np.exp(-((great_circle_km(lat[i], lon[i], lat, lon) / km) ** 2) / 2)
        out += masses[:, [i]] * weight / weight.sum()
    return out


@pytest.mark.parametrize("km", [50.0, 1500.0, 30_000.0])
@pytest.mark.parametrize("grid", [equal_angle_grid(9, 16), equal_area_grid(7, 15)])
def test_the_blur_is_the_double_sum_over_all_pairs(grid, km):
    masses = np.random.default_rng(2).dirichlet(np.full(grid.cells, 0.1), size=3)
    blurred = blur(masses, grid, km)
    # Rows beyond five deviations are left out: less than 4e-6 of the kernel's top each
    assert blurred == pytest.approx(slow_blur(masses, grid, km), abs=2e-5)
    assert blurred.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert (blurred >= 0).all()


def test_the_blur_crosses_the_date_line_and_the_pole():
    grid = equal_angle_grid(36, 72)
    for lat, lon, other in ((2.5, 177.5, (2.5, -177.5)), (87.5, 2.5, (87.5, -177.5))):
        spot = np.zeros((1, grid.cells))
        spot[0, grid.cell_of(lat, lon)] = 1
        there, apart = grid.cell_of(*other), great_circle_km(lat, lon, *other)
        flat = grid.areas[there] * np.exp(-((apart / 500) ** 2) / 2) / (2 * np.pi * 500**2)  # the plane's Gaussian
        assert blur(spot, grid, 500.0)[0, there] == pytest.approx(flat, rel=0.05)


def test_an_attribute_is_looked_up():
    p = [[0.7, 0.2, 0.1], [0.1, 0.1, 0.4]]
    maps = attribute_map(p, [[2, 0], [-1, 1]])
    assert maps.tolist() == [[0.1, 0.7, pytest.approx(1 / 3), 0.2], [0.4, 0.1, pytest.approx(0.2), 0.1]]
    assert attribute_map(p, [255, 2], nodata=255)[:, 1].tolist() == [0.1, 0.4]


def test_a_prior_is_divided_out_before_the_mean_for_nodata():
    assert attribute_map([[0.6, 0.4]], [0, 1, -1], prior=[0.75, 0.25]).tolist() == [[pytest.approx(v) for v in (0.8, 1.6, 1.2)]]


ONE = equal_angle_grid(1, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: classifier_map([[0.5, -0.1]], [0, 1]), CompatibilityError, "not negative"),
        (lambda: classifier_map([0.5, 0.5], [0, 1]), CompatibilityError, "one row a query"),
        (lambda: classifier_map([[0.5, 0.5]], [0, 2]), CompatibilityError, "cell 1 of the raster is 2; expected 0 to 1"),
        (lambda: classifier_map([[0.5, 0.5]], [0.0, 1.0]), CompatibilityError, "whole numbers"),
        (lambda: classifier_map([[0.5, 0.5]], [0, 1], areas=[1]), CompatibilityError, "2 areas above 0"),
        (lambda: classifier_map([[1, 0], [0, 1]], [0, 0]), CompatibilityError, "query 1 has no probability"),
        (lambda: retriever_map([[0.5]], [0], [0], ONE, temperature=0), ParameterError, "temperature"),
        (lambda: retriever_map([[0.5]], [0], [0], ONE, blur_km=-1), ParameterError, "km must be above 0"),
        (lambda: retriever_map([[0.5]], [0, 1], [0, 1], ONE), CompatibilityError, "1 similarities a query"),
        (lambda: retriever_map([[np.nan]], [0], [0], ONE), CompatibilityError, "finite"),
        (lambda: retriever_map([[0.5]], [95], [0], ONE), CompatibilityError, "latitudes"),
        (lambda: attribute_map([[0.5, 0.5]], [0, -2]), CompatibilityError, "is -2"),
        (lambda: attribute_map([[0.5, 0.5]], [0], prior=[1, 0]), CompatibilityError, "prior of 2 shares above 0"),
        (lambda: blur(np.ones((1, 3)), ONE, 1.0), CompatibilityError, "maps of 2 cells"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
