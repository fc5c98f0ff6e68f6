"""The made encoders of paper 03: what is drawn is what was asked for, and a small run can be judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelweave.papers.outputs import prompt_weights_03 as paper


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for seed in (7, 8) for row in paper.run(seed, images=400, generic=500)]


def test_the_world_has_what_was_asked_for() -> None:
    world = paper.make_world(0, images=500, generic=600)
    assert world.images.shape == (500, 48) and world.texts.shape == (40, 50, 48) and world.generic.shape == (600, 48)
    for rows in (world.images, world.texts, world.generic):
        assert np.linalg.norm(rows, axis=-1) == pytest.approx(1)
    assert len(world.good) == 8 and set(paper.make_world(0, images=300, present=3).labels) == {0, 1, 2}


def test_the_good_templates_are_the_ones_that_classify() -> None:
    world = paper.make_world(1)
    alone = np.array([paper.accuracy(world, row) for row in np.eye(40)])
    assert sorted(np.argsort(alone)[-8:]) == world.good.tolist()
    assert np.ptp(np.array([paper.accuracy(paper.make_world(1, fair=True), row) for row in np.eye(40)])) < 0.1


def test_twelve_templates_share_the_images_style() -> None:
    world = paper.make_world(2)
    near = world.texts.mean(axis=1) @ world.images.mean(axis=0)
    fair = paper.make_world(2, fair=True)
    assert (near > 0.05).sum() >= 12 > (fair.texts.mean(axis=1) @ fair.images.mean(axis=0) > 0.05).sum()


def test_a_small_run_can_be_judged(rows: list[dict[str, Any]]) -> None:
    checks = {check.name: check for check in paper.EXPERIMENT.judge(rows)}
    by = {row["condition"]: row for row in rows if row["seed"] == 8}
    assert checks["weighted - all alike"].got[1] == by["weighted, both"]["accuracy"] - by["all alike"]["accuracy"]
    assert checks["weighted - all alike"].holds and checks["weights given to other templates - all alike"].holds
    assert [check.kind for check in checks.values()].count("control") == 2
    again = [{k: v for k, v in row.items() if k != "seed"} for row in rows if row["seed"] == 7]
    assert paper.run(7, images=400, generic=500) == again


def test_weights_that_do_nothing_are_noticed(rows: list[dict[str, Any]]) -> None:
    """With all templates alike in place of the weights neither claim holds."""
    alike = {row["seed"]: row["accuracy"] for row in rows if row["condition"] == "all alike"}
    changed = [{**row, "accuracy": alike[row["seed"]]} if row["condition"] == "weighted, both" else row for row in rows]
    assert not paper.EXPERIMENT.judge(changed)[0].holds
