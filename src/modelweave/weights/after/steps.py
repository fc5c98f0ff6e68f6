"""Steps that any recipe can add after its method: factors on the change, by a tensor's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...row import Parameter, Row
from .lines import lines


@dataclass(frozen=True, kw_only=True)
class Step(Row):
    """function: (layer, layers, members, *, parameters) -> the factor on the change from the base."""

    function: Callable[..., float]
    level: str = "weights/after"

    @property
    def facts(self) -> Mapping[str, str]:
        return {"follows": "any method that merges changes from a base"}

    @property
    def takes(self) -> str:
        return "a change"

    @property
    def example(self) -> dict[str, Any]:
        """The plainest method on changes, with the step after it."""
        models = [{"model": "path/to/first"}, {"model": "path/to/second"}]
        return {
            "merge_method": "task_arithmetic",
            "base_model": "path/to/base",
            "models": models,
            "after": [self.name],
            "dtype": "bfloat16",
        }


ROWS: tuple[Step, ...] = (
    Step(
        "lines",
        "LiNeS",
        "change times alpha + beta * layer / (layers - 1); alpha outside the layers",
        "Wang et al. 2024, arXiv 2410.17146, equation 2",
        group="by layer",
        purpose="deep layers should move more than shallow",
        function=lines,
        parameters=(
            Parameter("alpha", "float", None, at_least=0, help="factor of the first layer, 1 / number of models unless given"),
            Parameter("beta", "float", None, help="what the last layer's factor is more than alpha, 1 - alpha unless given"),
        ),
    ),
)
