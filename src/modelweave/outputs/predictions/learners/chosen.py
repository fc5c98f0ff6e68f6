"""The plain mean of members that a learned chooser picks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...chooser.subset_chooser import SubsetChooser
from ..learner import FittedRule
from ..member_features import describe_members
from ..metrics import Metric
from ..pool import Array, Pool
from ..rules import Linear


def chosen(pool: Pool, y: Array, metric: Metric, *, chooser: str = "", size: int = 0, **_: Any) -> FittedRule:
    """Describe members on these rows, let the saved chooser mark some, and give those equal weights. size: how many; 0 leaves it open."""
    network = SubsetChooser.load(chooser)
    features = describe_members(dict(zip(pool.names, pool.values, strict=True)), y)
    places = network.choose(features, size or None)
    share = np.isin(np.arange(len(pool.names)), places) / len(places)
    return FittedRule(Linear(tuple(share.tolist())))
