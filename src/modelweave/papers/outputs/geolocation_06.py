"""Enhancing Worldwide Image Geolocation by Ensembling Attribute Predictors: Bianco, Eigen and Gormish 2024, arXiv 2407.13862.

Claim: multiplying the maps of geolocation models by attributes predicted from the photo and looked up in a raster finds rural places in
less area, and costs urban places nothing; and the distance of the best point, the usual measure, does not see it.

A made planet, since the paper's photos cannot be had here: population and land classes drawn cell by cell, two models that prefer towns
eight times, attribute predictors that are right 80 % and 60 % of the time. Recall is taken at 2e7 km^2, which is a circle of 2500 km, so
the two measures stand side by side. How far and how noisily the models miss is our choice. Four settings were looked at on seeds 100
to 119, and the one kept leaves urban places room for a loss; the attributes gain at least 0.33 on each seed in all four.

Controls: weight 0 must give the models' maps to the bit, and the attributes of another query must gain next to nothing. They do gain
something on rural places (0.01 on average over 100 seeds, above the bound of 0.06 on two of them) and lose 0.05 on urban ones: most
queries are rural, so another's attributes are a prior for the country. Hence that check is on the mean over seeds.

Reported: the models with their preference for towns divided out have four fifths of the rural gain and lose 0.4 in towns, so what
the attributes add is to know which photo is which. The paper's small losses at small areas are not seen here. Where classes
come in patches of 1000 km the gain is half as large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...outputs.geolocation.distance import distance_accuracies, top_distances_km
from ...outputs.geolocation.fuse import average, fuse
from ...outputs.geolocation.recall_vs_area import recall_vs_area
from ..harness.checks import above, at_least, below, claim, control, exactly, invariant, report
from ..harness.experiment import Experiment
from ..harness.measures import gap, value
from ..harness.rows import Row
from ..worlds.planet import Maps, Planet, make_planet

BUDGET = 2e7  # km^2, a twenty-fifth of the Earth
SMALL = 2e6


def _another(random: np.random.Generator, queries: int) -> NDArray[np.intp]:
    """A random query for each, never itself."""
    order = random.permutation(queries)
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def fused(planet: Planet, seed: int) -> dict[str, Maps]:
    """The maps of every way."""
    models, attributes = planet.models, list(planet.attributes.values())
    other = _another(np.random.default_rng([seed, 1]), len(planet.truth))
    return {
        "first model": fuse(models[:1]),
        "second model": fuse(models[1:]),
        "models": fuse(models),
        "models without preference": fuse([m / planet.preference for m in models]),
        "models and attributes": fuse([*models, *attributes]),
        "models and population": fuse([*models, planet.attributes["population"]]),
        "models and land": fuse([*models, planet.attributes["land"]]),
        "arithmetic mean": average([*models, *attributes]),
        "attributes of another query": fuse([*models, *(a[other] for a in attributes)]),
        "weight 0": fuse([*models, *attributes], weights=[1, 1, 0, 0]),
    }


def run(seed: int) -> list[Row]:
    """Recall and point accuracies of every way, on rural and urban places, and the gain where classes come in patches."""
    planet, patches = make_planet(seed), make_planet(seed, smooth=1000.0)
    maps = fused(planet, seed)
    rows = [_row(name, planet, found) for name, found in maps.items()]
    rows.append({"condition": "weight 0 is the models", "same": float(np.array_equal(maps["weight 0"], maps["models"]))})
    rows.append({"condition": "paired interval", "rural": _rural_gain_at_least(planet, maps)})
    maps = fused(patches, seed)
    return [*rows, *(_row(f"{name}, patches", patches, maps[name]) for name in ("models", "models and attributes"))]


def _rural_gain_at_least(planet: Planet, maps: dict[str, Maps]) -> float:
    """The lower end of the 95 % interval of the gain on rural places, over resampled queries."""
    with_them, without = (
        recall_vs_area(maps[name], planet.grid.areas, planet.truth, threads=1).by(planet.kind)["rural"]
        for name in ("models and attributes", "models")
    )
    return with_them.difference(without, BUDGET).low


def _row(name: str, planet: Planet, maps: Maps) -> Row:
    found = recall_vs_area(maps, planet.grid.areas, planet.truth, threads=1)
    parts, rural = found.by(planet.kind), planet.kind == "rural"
    points = distance_accuracies(top_distances_km(maps, planet.grid, planet.lat, planet.lon)[rural])
    return {
        "condition": name,
        "rural": parts["rural"].recall(BUDGET),
        "urban": parts["urban"].recall(BUDGET),
        "rural_small": parts["rural"].recall(SMALL),
        "urban_small": parts["urban"].recall(SMALL),
        "normalised_area": found.normalised_area,
        "rural_750_km": points[750.0],
        "rural_2500_km": points[2500.0],
    }


_BOTH = "models and attributes"
CHECKS = (
    claim("with attributes - models, rural recall at 2e7 km^2", gap(_BOTH, "models"), at_least(0.15)),
    claim("with attributes - models, urban recall", gap(_BOTH, "models", "urban"), at_least(-0.02)),
    claim("product - arithmetic mean, rural recall", gap(_BOTH, "arithmetic mean"), above(0)),
    claim(
        "half the rural gain - what the top point within 2500 km gains",
        gap(_BOTH, "models") / 2 - gap(_BOTH, "models", "rural_2500_km"),
        above(0),
    ),
    control("attributes of another query - models, rural recall", gap("attributes of another query", "models"), below(0.06, "on average")),
    invariant("weight 0 for the attributes is the models", value("weight 0 is the models", "same"), exactly(1)),
    report("rural gain, lower end of its paired interval", value("paired interval")),
    report("attributes of another query - models, urban recall", gap("attributes of another query", "models", "urban")),
    report("models without preference - models, rural recall", gap("models without preference", "models")),
    report("models without preference - models, urban recall", gap("models without preference", "models", "urban")),
    report("with attributes - models, urban recall at 2e6 km^2", gap(_BOTH, "models", "urban_small")),
    report("with attributes - models, rural top point within 2500 km", gap(_BOTH, "models", "rural_2500_km")),
    report("with attributes - models, rural recall, patches", gap(_BOTH, "models", at="patches")),
    report("with attributes - models, urban recall, patches", gap(_BOTH, "models", "urban", at="patches")),
)

EXPERIMENT = Experiment(
    claim="attribute maps multiplied into geolocation maps find rural places in less area (+) at no cost in towns; the top point misses it",
    data="made: a planet with population and land classes by cell, two models that prefer towns, attribute predictors that err",
    run=run,
    checks=CHECKS,
    columns=("rural", "urban", "rural_small", "urban_small", "normalised_area", "rural_750_km", "rural_2500_km"),
)
