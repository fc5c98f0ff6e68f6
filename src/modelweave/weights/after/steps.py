"""Steps that any recipe can add after its method: factors on the change, by a tensor's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...row import Parameter
from .lines import lines


@dataclass(frozen=True)
class Step:
    """function: (layer, layers, members, *, parameters) -> the factor on the change from the base."""

    name: str
    formula: str
    source: str
    function: Callable[..., float]
    parameters: tuple[Parameter, ...]


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "lines",
            "change times alpha + beta * layer / (layers - 1); alpha outside the layers",
            "Wang et al. 2024, arXiv 2410.17146, equation 2",
            lines,
            (
                Parameter("alpha", "float", None, at_least=0, help="factor of the first layer, 1 / number of models unless given"),
                Parameter("beta", "float", None, help="what the last layer's factor is more than alpha, 1 - alpha unless given"),
            ),
        ),
    )
}
