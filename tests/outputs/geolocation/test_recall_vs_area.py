from importlib import import_module

import numpy as np
import pytest

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.geolocation import query_areas
from modelweave.outputs.geolocation.fuse import fuse
from modelweave.outputs.geolocation.grid import EARTH_AREA_KM2, equal_angle_grid, equal_area_grid
from modelweave.outputs.geolocation.recall_vs_area import recall_vs_area

SCORES, AREAS, ATTRIBUTE = [0.4, 0.3, 0.2, 0.1], [4, 1, 2, 3], [0.1, 0.1, 0.7, 0.1]


def by_sorting(maps, areas, truth, rank="score", ties="index"):
    """The slow way: sort, accumulate, look the true cell up."""
    found = []
    for scores, place in zip(np.asarray(maps, np.float64), truth, strict=True):
        values = scores / areas if rank == "density" else scores
        order = np.argsort(-values, kind="stable")
        reached = dict(zip(order.tolist(), np.cumsum(areas[order]), strict=True))
        members = [place] if ties == "index" else np.flatnonzero(values == values[place]).tolist()
        found.append(max(reached[cell] for cell in members))
    return np.array(found)


def made(seed, queries=40, cells=500, levels=None, dtype=np.float64):
    random = np.random.default_rng(seed)
    maps = random.random((queries, cells)) if levels is None else random.integers(levels, size=(queries, cells))
    return maps.astype(dtype), random.uniform(0.5, 9, cells), random.integers(cells, size=queries)


def areas(*args, **options):
    return recall_vs_area(*args, **options).area.tolist()


def test_four_cells_by_hand():
    maps, truth = [SCORES] * 4, [0, 1, 2, 3]
    assert areas(maps, AREAS, truth) == [4, 5, 7, 10]
    assert areas(maps, AREAS, truth, rank="density") == [5, 1, 7, 10]
    fused = fuse([[SCORES], [ATTRIBUTE]])
    assert fused.round(6).tolist() == [[0.181818, 0.136364, 0.636364, 0.045455]]
    assert areas(np.repeat(fused, 4, axis=0), AREAS, truth) == [6, 7, 2, 10]


@pytest.mark.parametrize("ties", ["index", "pessimistic"])
@pytest.mark.parametrize("rank", ["score", "density"])
@pytest.mark.parametrize(("levels", "dtype"), [(None, "f8"), (None, "f4"), (None, "f2"), (5, "i8"), (3, "f4"), (2, "u1"), (2, "?")])
def test_as_sorting_says(levels, dtype, rank, ties):
    maps, sizes, truth = made(1, levels=levels, dtype=dtype)
    assert areas(maps, sizes, truth, rank=rank, ties=ties) == pytest.approx(by_sorting(maps, sizes, truth, rank, ties), rel=1e-13)


@pytest.mark.parametrize("ties", ["index", "pessimistic"])
def test_as_sorting_says_over_many_tiles(monkeypatch, ties):
    monkeypatch.setattr(query_areas, "TILE_CELLS", 64)
    monkeypatch.setattr(query_areas, "TILE_SCORES", 192)
    maps, sizes, truth = made(2, levels=7)
    truth[:5] = [0, 63, 64, 499, 448]
    assert areas(maps, sizes, truth, ties=ties) == pytest.approx(by_sorting(maps, sizes, truth, ties=ties), rel=1e-13)


def test_whole_areas_are_exact():
    """Sums of whole numbers do not round, so both ways agree to the bit."""
    maps, _, truth = made(3, cells=40_000, queries=6)
    sizes = np.random.default_rng(3).integers(1, 99, 40_000).astype(float)
    assert areas(maps, sizes, truth) == by_sorting(maps, sizes, truth).tolist()


def test_blocks_threads_and_neighbours_change_no_bit():
    maps, sizes, truth = made(4, queries=37, cells=40_000, dtype=np.float32)
    whole = areas(maps, sizes, truth, threads=1)
    assert areas(maps, sizes, truth, threads=5) == whole
    assert areas(maps, sizes, truth) == whole
    assert areas((maps[i : i + 5] for i in range(0, 37, 5)), sizes, truth, threads=2) == whole
    assert areas(iter(maps[:, None]), sizes, truth) == whole
    assert areas(np.asfortranarray(maps), sizes, truth) == whole
    assert [areas(maps[[i]], sizes, truth[[i]])[0] for i in range(37)] == whole


def test_a_function_is_asked_in_order_for_what_fits(monkeypatch):
    module = import_module("modelweave.outputs.geolocation.recall_vs_area")
    monkeypatch.setattr(module, "CALLED_BYTES", 8 * 500 * 16)
    maps, sizes, truth = made(5)
    asked = []

    def rows(start, stop):
        asked.append((start, stop))
        return maps[start:stop]

    assert module.recall_vs_area(rows, sizes, truth).area.tolist() == areas(maps, sizes, truth)
    assert asked == [(0, 16), (16, 32), (32, 40)]


def test_tensors_are_maps_too():
    torch = pytest.importorskip("torch")
    assert areas(torch.tensor([SCORES]), AREAS, [1]) == [5]


def test_a_uniform_map_with_pessimistic_ties_is_the_whole_earth():
    grid = equal_angle_grid(90, 180)
    found = recall_vs_area(np.ones((3, grid.cells)), grid.areas, [0, 8000, 16199], ties="pessimistic")
    assert found.area == pytest.approx([EARTH_AREA_KM2] * 3, rel=1e-12)
    assert found.recall(EARTH_AREA_KM2) == 1 and found.recall(0.999 * EARTH_AREA_KM2) == 0


def test_density_is_score_on_cells_of_one_area():
    grid, random = equal_area_grid(12, 25), np.random.default_rng(6)
    maps, truth = random.random((20, 300)), random.integers(300, size=20)
    assert areas(maps, grid.areas, truth, rank="density") == areas(maps, grid.areas, truth)


def test_scale_and_monotone_transforms_change_nothing():
    maps, sizes, truth = made(7)
    maps = (maps * 50).round() / 64  # with ties, and far enough apart for the transforms
    for ties in ("index", "pessimistic"):
        plain = areas(maps, sizes, truth, ties=ties)
        for other in (3 * maps, maps * 1e-200, maps**3, np.exp(maps), np.sqrt(maps)):
            assert areas(other, sizes, truth, ties=ties) == plain
    tripled, plain = (areas(factor * maps, sizes, truth, rank="density") for factor in (4, 1))
    assert tripled == plain


def test_only_the_share_of_the_last_cell_counts():
    maps, truth = [SCORES] * 4, [0, 1, 2, 3]
    assert areas(maps, AREAS, truth, last_cell=0.5) == [2, 4.5, 6, 8.5]
    assert areas(maps, AREAS, truth, last_cell=0) == [0, 4, 5, 7]


def test_inputs_stay_as_they_are():
    maps, sizes, truth = made(8)
    before = maps.copy(), sizes.copy(), truth.copy()
    recall_vs_area(maps, sizes, truth, rank="density", ties="pessimistic")
    assert all(np.array_equal(a, b) for a, b in zip(before, (maps, sizes, truth), strict=True))


BAD = [
    ({"maps": [[0.1, np.nan, 0, 0]]}, "finite and not negative"),
    ({"maps": [[0.1, np.inf, 0, 0]]}, "finite and not negative"),
    ({"maps": [[0.1, -1e-9, 0, 0]]}, "exponentiate log scores"),
    ({"maps": [[1, 2, 3]]}, "expected maps of 1 queries x 4 cells"),
    ({"maps": [SCORES, SCORES]}, "got a block of 2 x 4"),
    ({"maps": iter([])}, "maps end after 0 queries, truth has 1"),
    ({"maps": SCORES}, "2 dimensions"),
    ({"maps": [[1j] * 4]}, "real numbers"),
    ({"areas": [1, 2, 0, 3]}, "above 0"),
    ({"areas": [1, 2, np.nan, 3]}, "above 0"),
    ({"areas": []}, "areas as"),
    ({"truth": [4]}, "names cell 4, but there are 4 areas"),
    ({"truth": [-1]}, "indices from 0"),
    ({"truth": [1.0]}, "cell_of"),
    ({"truth": np.empty(0, int)}, "truth as"),
]


@pytest.mark.parametrize(("given", "words"), BAD)
def test_what_does_not_fit_is_refused(given, words):
    with pytest.raises(CompatibilityError, match=words):
        recall_vs_area(**{"maps": [SCORES], "areas": AREAS, "truth": [0], **given})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": "scroe"}, "did you mean 'score'"),
        ({"ties": "best"}, "unknown ties"),
        ({"last_cell": 1.5}, "last_cell"),
        ({"lowest": 0}, "lowest"),
        ({"threads": 0}, "threads"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(ParameterError, match=words):
        recall_vs_area([SCORES], AREAS, [0], **options)
