"""Methods that depend on a layer's place, on arrival, or on one model alone, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...row import Parameter
from ..combine.expo import expo
from ..combine.layer_swap import SIDES, layer_swap
from ..combine.opcm import OVER_MODEL, opcm
from ..method import Method, Needs
from ..options import SCALE


def _below_one(options: Mapping[str, Any]) -> str | None:
    return None if options["alpha"] < 1 else f"alpha must be below 1, got {options['alpha']:g}"


_LAYERS = (
    Parameter("bottom", "int", None, at_least=0, help="first layers that are the second model's; none: 5 of 32"),
    Parameter("top", "int", None, at_least=0, help="last layers that are the second model's; none: 2 of 32"),
    Parameter("transition_bottom", "int", None, at_least=0, help="layers above the bottom ones that are mixed; none: 1 of 32"),
    Parameter("transition_top", "int", None, at_least=0, help="layers below the top ones that are mixed; none: 1 of 32"),
    Parameter("transition_weight", "float", 0.5, at_least=0, at_most=1, help="the second model's share in those"),
    Parameter("embed_from", "str", None, choices=SIDES, help="whose tensors before the layers; none: as the first layer"),
    Parameter("head_from", "str", None, choices=SIDES, help="whose tensors behind the layers; none: as the last layer"),
)

ROWS: tuple[Method, ...] = (
    Method(
        "layer_swap",
        "Layer swapping",
        "the first model (task expert), with the outer layers of the second (language expert)",
        "Bandarkar et al. 2024, arXiv 2410.01335, section 4",
        group="by layer",
        purpose="a task expert into another language",
        combine=layer_swap,
        parameters=_LAYERS,
        needs=Needs("optional", 2, 2),
        keeps=frozenset({"exact_on_identical", "in_span"}),
        paper=31,
        note="a base changes nothing; the report says each tensor's shares",
    ),
    Method(
        "expo",
        "ExPO",
        "x_1 + alpha (x_1 - base)",
        "Zheng et al. 2024, arXiv 2404.16792, equation 1",
        group="one model",
        purpose="go further along preference training",
        combine=expo,
        parameters=(Parameter("alpha", "float", 0.5, help="how far beyond the model; the authors tune 0.1 to 0.5 on validation data"),),
        needs=Needs("required", 1, 1),
        keeps=frozenset({"in_span", "zero_delta_is_base"}),
        note="the base is the model before preference training, the other the one after it",
    ),
    Method(
        "opcm",
        "OPCM",
        "base + scale * (mean norm of the d_j / norm of E) E, E = d_1, then E + d_t without what E's main singular directions say of it",
        "Tang et al. 2025, arXiv 2501.09522; FusionBench, OPCMForCLIP",
        group="spectra, by decomposing whole matrices",
        purpose="models that arrive one at a time",
        combine=opcm,
        parameters=(
            Parameter(
                "alpha", "float", 0.5, at_least=0, at_most=1, help="share of the summed singular values that counts as said, below 1"
            ),
            Parameter(
                "projection", "str", "reference", choices=("reference", "strict", "none"), help="what a change loses before it is added"
            ),
            Parameter(
                "state", "str", "continue", choices=("continue", "ignore"), help="whether a first model made by opcm stands for those in it"
            ),
            SCALE,
        ),
        needs=Needs("required"),
        keeps=frozenset({"zero_delta_is_base", "single_is_itself"}),
        paper=48,
        constraint=_below_one,
        over_model=OVER_MODEL,
        note="norms are over all tensors that it merges; the result's manifest keeps what a later merge goes on from",
    ),
)
