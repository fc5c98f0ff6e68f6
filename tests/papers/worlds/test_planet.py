"""The made planet: what is drawn is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import planet as world


def test_the_planet_has_the_shares_that_were_asked_for():
    planet = world.make_planet(0, queries=4000)
    urban = planet.preference == world.URBAN_PRIOR
    assert urban.mean() == pytest.approx(0.2, abs=1 / planet.grid.cells)
    assert np.mean(planet.kind == "urban") == pytest.approx(planet.grid.areas[urban].sum() / planet.grid.areas.sum(), abs=0.02)
    for name, maps in planet.attributes.items():
        named = maps[np.arange(4000), planet.truth] == world.CONFIDENCE
        assert named.mean() == pytest.approx(world.RIGHT[name], abs=0.02)
        assert np.isclose(maps.max(axis=1), world.CONFIDENCE).all()


@pytest.mark.parametrize("smooth", [0.0, 1000.0])
def test_classes_have_their_shares_and_patches_stay_together(smooth):
    from modelweave.outputs.geolocation.grid import equal_angle_grid

    grid = equal_angle_grid(*world.SIDES)
    classes = world._classes(np.random.default_rng(0), grid, world.POPULATION, smooth)
    assert np.bincount(classes) / grid.cells == pytest.approx(world.POPULATION, abs=1 / grid.cells)
    table = classes.reshape(world.SIDES)
    alike = np.mean(table == np.roll(table, 1, axis=1))
    by_chance = np.square(world.POPULATION).sum()
    assert alike == pytest.approx(by_chance, abs=0.04) if not smooth else alike > by_chance + 0.2


def test_a_bump_without_noise_is_highest_at_its_place(monkeypatch):
    monkeypatch.setattr(world, "MISS", 0.0)
    monkeypatch.setattr(world, "NOISE", 0.0)
    planet = world.make_planet(1, queries=30)
    assert (planet.models[0] / planet.preference).argmax(axis=1).tolist() == planet.truth.tolist()
