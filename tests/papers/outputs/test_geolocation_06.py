"""The geolocation experiment: no query keeps its attributes, and a tiny run can be judged."""

from __future__ import annotations

import numpy as np

from modelweave.papers.harness.rows import Rows
from modelweave.papers.outputs import geolocation_06 as paper
from modelweave.papers.worlds import planet


def test_no_query_keeps_its_own_attributes():
    for queries in (2, 3, 50):
        other = paper._another(np.random.default_rng(2), queries)
        assert sorted(other) == list(range(queries)) and (other != np.arange(queries)).all()


def test_a_small_run_can_be_judged(monkeypatch):
    monkeypatch.setattr(planet, "SIDES", (12, 24))
    monkeypatch.setattr(planet, "CELL_KM", 1668.0)
    monkeypatch.setattr(planet, "BUMPS", (1.4, 1.7))
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
