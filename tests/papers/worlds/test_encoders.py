"""The made encoders: what is drawn is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from modelweave.papers.worlds import encoders


def test_the_world_has_what_was_asked_for() -> None:
    world = encoders.make_world(0, images=500, generic=600)
    assert world.images.shape == (500, 48) and world.texts.shape == (40, 50, 48) and world.generic.shape == (600, 48)
    for rows in (world.images, world.texts, world.generic):
        assert np.linalg.norm(rows, axis=-1) == pytest.approx(1)
    assert len(world.good) == 8 and set(encoders.make_world(0, images=300, present=3).labels) == {0, 1, 2}


def test_the_good_templates_are_the_ones_that_classify() -> None:
    world = encoders.make_world(1)
    alone = np.array([encoders.accuracy(world, row) for row in np.eye(40)])
    assert sorted(np.argsort(alone)[-8:]) == world.good.tolist()
    assert np.ptp(np.array([encoders.accuracy(encoders.make_world(1, fair=True), row) for row in np.eye(40)])) < 0.1


def test_twelve_templates_share_the_images_style() -> None:
    world = encoders.make_world(2)
    near = world.texts.mean(axis=1) @ world.images.mean(axis=0)
    fair = encoders.make_world(2, fair=True)
    assert (near > 0.05).sum() >= 12 > (fair.texts.mean(axis=1) @ fair.images.mean(axis=0) > 0.05).sum()
