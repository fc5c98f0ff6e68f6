"""Recall vs Area by an attribute of the true place, for several ways at once: where a gain is, and where a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from ...errors import CompatibilityError
from .area_result import AreaResult


def by_attribute(results: Mapping[str, AreaResult], labels: ArrayLike, budgets: Sequence[float]) -> list[dict[str, Any]]:
    """One row a label and way: queries, recall at each budget (a dict), median area in km^2, normalised area.

    Args:
        results: by name, over the same queries.
        labels: (queries,) the attribute at each true place, e.g. raster[truth].
        budgets: km^2.

    Raises:
        CompatibilityError: for no results, or labels that are not one a query.

    >>> import numpy as np
    >>> found = AreaResult(np.array([20.0, 500.0, 90.0]), total=1000.0)
    >>> [(row["label"], row["queries"], row["recall"]) for row in by_attribute({"model": found}, ["urban", "rural", "rural"], [100])]
    [('rural', 2, {100: 0.5}), ('urban', 1, {100: 1.0})]
    """
    if not results:
        raise CompatibilityError("by_attribute: no results; expected at least one")
    parts = {name: result.by(labels) for name, result in results.items()}
    return [
        {
            "label": label,
            "name": name,
            "queries": len(part[label].area),
            "recall": {budget: part[label].recall(budget) for budget in budgets},
            "median_area": part[label].median_area,
            "normalised_area": part[label].normalised_area,
        }
        for label in next(iter(parts.values()))
        for name, part in parts.items()
    ]
