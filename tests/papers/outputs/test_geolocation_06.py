"""The made planet of paper 06: what is drawn is what was asked for, and a tiny run can be judged."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.harness.rows import Rows
from modelweave.papers.outputs import geolocation_06 as paper


def test_the_planet_has_the_shares_that_were_asked_for():
    planet = paper.make_planet(0, queries=4000)
    urban = planet.preference == paper.URBAN_PRIOR
    assert urban.mean() == pytest.approx(0.2, abs=1 / planet.grid.cells)
    assert np.mean(planet.kind == "urban") == pytest.approx(planet.grid.areas[urban].sum() / planet.grid.areas.sum(), abs=0.02)
    for name, maps in planet.attributes.items():
        named = maps[np.arange(4000), planet.truth] == paper.CONFIDENCE
        assert named.mean() == pytest.approx(paper.RIGHT[name], abs=0.02)
        assert np.isclose(maps.max(axis=1), paper.CONFIDENCE).all()


@pytest.mark.parametrize("smooth", [0.0, 1000.0])
def test_classes_have_their_shares_and_patches_stay_together(smooth):
    from modelweave.outputs.geolocation.grid import equal_angle_grid

    grid = equal_angle_grid(*paper.SIDES)
    classes = paper._classes(np.random.default_rng(0), grid, paper.POPULATION, smooth)
    assert np.bincount(classes) / grid.cells == pytest.approx(paper.POPULATION, abs=1 / grid.cells)
    table = classes.reshape(paper.SIDES)
    alike = np.mean(table == np.roll(table, 1, axis=1))
    by_chance = np.square(paper.POPULATION).sum()
    assert alike == pytest.approx(by_chance, abs=0.04) if not smooth else alike > by_chance + 0.2


def test_a_bump_without_noise_is_highest_at_its_place(monkeypatch):
    monkeypatch.setattr(paper, "MISS", 0.0)
    monkeypatch.setattr(paper, "NOISE", 0.0)
    planet = paper.make_planet(1, queries=30)
    assert (planet.models[0] / planet.preference).argmax(axis=1).tolist() == planet.truth.tolist()


def test_no_query_keeps_its_own_attributes():
    for queries in (2, 3, 50):
        other = paper._another(np.random.default_rng(2), queries)
        assert sorted(other) == list(range(queries)) and (other != np.arange(queries)).all()


def test_a_small_run_can_be_judged(monkeypatch):
    monkeypatch.setattr(paper, "SIDES", (12, 24))
    monkeypatch.setattr(paper, "CELL_KM", 1668.0)
    monkeypatch.setattr(paper, "BUMPS", (1.4, 1.7))
    rows = [{"seed": seed, **row} for seed in (7, 8) for row in paper.run(seed)]
    checks = {check.name: check for check in paper.EXPERIMENT.judge(rows)}
    assert checks["weight 0 for the attributes is the models"].got == (1.0, 1.0)
    gain = tuple(Rows(rows, "rural").gap("models and attributes", "models"))
    assert checks["with attributes - models, rural recall at 2e7 km^2"].got == gain
    assert all(0 <= row[column] <= 1 for row in rows for column in paper.EXPERIMENT.columns if column in row)
    assert paper.run(7) == [{k: v for k, v in row.items() if k != "seed"} for row in rows if row["seed"] == 7]


def test_without_a_gain_the_claim_fails():
    rows = [{"condition": name, **dict.fromkeys(paper.EXPERIMENT.columns, 0.5)} for name in WAYS]
    rows += [{"condition": "weight 0 is the models", "same": 1.0}, {"condition": "paired interval", "rural": 0.0}]
    checks = paper.EXPERIMENT.judge([{"seed": 0, **row} for row in rows])
    assert [check.holds for check in checks if check.kind == "claim"] == [False, True, False, False]


WAYS = (
    "models",
    "models without preference",
    "models and attributes",
    "arithmetic mean",
    "attributes of another query",
    "models, patches",
    "models and attributes, patches",
)
