from itertools import permutations

import numpy as np
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.geolocation.fuse import average, fuse
from modelweave.outputs.geolocation.recall_vs_area import recall_vs_area

RANDOM = np.random.default_rng(0)
MAPS = [RANDOM.random((6, 200)) ** 4 for _ in range(3)]
AREAS = RANDOM.uniform(1, 5, 200)
TRUTH = RANDOM.integers(200, size=6)


def areas(maps):
    return recall_vs_area(maps, AREAS, TRUTH).area.tolist()


def test_the_product_is_the_product():
    plain = MAPS[0] * MAPS[1] ** 2 * MAPS[2] ** 0.5
    assert fuse(MAPS, weights=[1, 2, 0.5], floor=1e-30) == pytest.approx(plain / plain.sum(axis=1, keepdims=True))
    assert fuse(MAPS).sum(axis=1) == pytest.approx(1)


def test_the_formula_with_its_floor():
    logs = [np.log(m / m.sum(axis=1, keepdims=True) + 0.01) for m in MAPS]
    slow = np.exp(0.3 * logs[0] + logs[1] + 1.7 * logs[2])
    assert fuse(MAPS, weights=[0.3, 1, 1.7], floor=0.01) == pytest.approx(slow / slow.sum(axis=1, keepdims=True))


def test_a_zero_does_not_rule_out_the_truth():
    sure, veto = [[0.98, 0.01, 0.01]], [[0.0, 0.5, 0.5]]
    assert fuse([sure, veto])[0, 0] > 0
    assert fuse([sure, veto], floor=0.2)[0].argmax() == 0


def test_the_order_of_sources_does_not_matter():
    for order in permutations(MAPS):
        assert fuse(list(order)) == pytest.approx(fuse(MAPS), rel=1e-12)
        assert areas(fuse(list(order))) == areas(fuse(MAPS))
        assert average(list(order)) == pytest.approx(average(MAPS), rel=1e-12)


def test_constants_and_uniform_maps_change_nothing():
    plain = areas(fuse(MAPS[:2]))
    assert areas(fuse([7 * MAPS[0], 1e-30 * MAPS[1]])) == plain
    assert areas(fuse([*MAPS[:2], np.full((6, 200), 0.3)])) == plain
    assert areas(fuse([MAPS[0], np.ones((6, 200))])) == areas(MAPS[0])
    assert fuse([MAPS[0], np.ones((6, 200))]) == pytest.approx(MAPS[0] / MAPS[0].sum(axis=1, keepdims=True), abs=1e-9)


def test_weight_zero_is_not_there_to_the_bit():
    assert np.array_equal(fuse(MAPS, weights=[1, 1, 0]), fuse(MAPS[:2]))
    assert np.array_equal(fuse([*MAPS[:2], np.full((9, 9), np.nan)], weights=[1, 1, 0]), fuse(MAPS[:2]))
    assert np.array_equal(average(MAPS, weights=[1, 0, 1]), average([MAPS[0], MAPS[2]]))
    assert areas(fuse([MAPS[0]])) == areas(MAPS[0])


def test_the_mean_is_the_mean():
    by_hand = (2 * MAPS[0] / MAPS[0].sum(axis=1, keepdims=True) + MAPS[1] / MAPS[1].sum(axis=1, keepdims=True)) / 3
    assert average([MAPS[0], 5 * MAPS[1]], weights=[2, 1]) == pytest.approx(by_hand)


def test_inputs_stay_as_they_are():
    before = [m.copy() for m in MAPS]
    fuse(MAPS), average(MAPS)
    assert all(np.array_equal(a, b) for a, b in zip(before, MAPS, strict=True))


@pytest.mark.parametrize("way", [fuse, average])
@pytest.mark.parametrize(
    ("maps", "options", "error", "words"),
    [
        ([], {}, CompatibilityError, "no maps"),
        ([[[1.0]], [[1.0, 2.0]]], {}, CompatibilityError, "\\(1, 1\\), \\(1, 2\\)"),
        ([[[-1.0, 2.0]]], {}, CompatibilityError, "not negative"),
        ([[[np.nan, 2.0]]], {}, CompatibilityError, "finite"),
        ([[[1.0, 1.0], [0.0, 0.0]]] * 2, {}, CompatibilityError, "query 1 is zero everywhere"),
        ([[[1.0]]], {"weights": [1, 2]}, ParameterError, "1 sources but 2 weights"),
        ([[[1.0]]], {"weights": [0]}, ParameterError, "not all 0"),
        ([[[1.0]]], {"weights": [-1]}, ParameterError, "not negative"),
    ],
)
def test_what_does_not_fit_is_refused(way, maps, options, error, words):
    with pytest.raises(error, match=words):
        way(maps, **options)


@pytest.mark.parametrize("floor", [0, -1, 1, np.nan])
def test_the_floor_is_checked(floor):
    with pytest.raises(ParameterError, match="floor"):
        fuse([[[1.0]]], floor=floor)
