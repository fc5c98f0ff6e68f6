"""Parameters that several methods share, each said once."""

from __future__ import annotations

from ..row import Parameter

WEIGHT = Parameter("weight", "float", 1.0, scope="model", help="the member's coefficient")
DENSITY = Parameter(
    "density", "float", 1.0, scope="model", above=0, at_most=1, help="share of the member's changes that is kept", example=0.5
)
SCOPE = Parameter("scope", "str", "tensor", choices=("tensor", "model"), help="within what changes are ranked", sets="ranked_over")
SCALE = Parameter("scale", "float", 1.0, aliases=("lambda",), help="factor on the combined change", sets="scale")


def normalize(default: bool) -> Parameter:
    """Whether weights are divided by their sum."""
    return Parameter("normalize", "bool", default, help="divide by the summed weights")


def rescale(default: bool) -> Parameter:
    """Whether a thinned change gets its summed magnitude back."""
    return Parameter("rescale", "bool", default, help="scale what is kept so that each change keeps its summed magnitude", sets="rescale")
