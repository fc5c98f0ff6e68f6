"""Every published method of the weights family, as one row.

Names and parameters are mergekit's, so that its recipes mean the same here; where numbers differ on purpose, the row's note says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...row import Parameter
from ..combine.arcee_fusion import arcee_fusion
from ..combine.linear import linear, passthrough, uniform
from ..combine.mixing import energy_consensus, sign_consensus, weighted_sum
from ..combine.model_stock import model_stock
from ..combine.nearswap import nearswap
from ..combine.ram import ram, ramplus_tl
from ..combine.sphere import karcher, multislerp, nuslerp, slerp
from ..method import Method, Needs
from ..options import DENSITY, SCALE, SCOPE, WEIGHT
from ..options import normalize as normalize_option
from ..options import rescale as rescale_option
from ..per_delta.cut_outliers import cut_outliers
from ..per_delta.drop_random import drop_random, drop_small
from ..per_delta.keep_top import keep_top
from ..per_delta.keep_varied import keep_varied

_GAMMA = Parameter("gamma", "float", 0.01, scope="model", at_least=0, at_most=1, help="share of the largest changes that is dropped first")
_EPSILON = Parameter("epsilon", "float", 0.15, scope="model", at_least=0, at_most=1, help="half the spread of the keep probability")
_SEEDS = Parameter("seeds", "int", 1, at_least=1, at_most=64, help="how many draws are averaged", sets="draws")
_UNIT = Parameter("unit", "str", "tensor", choices=("tensor", "row"), help="within what changes are ranked")
_TIES_OPTIONS = (
    SCOPE,
    Parameter("trim", "str", "exact", choices=("exact", "reference"), help="exact: int(density * n); reference: one more, and its equals"),
    Parameter("votes", "str", "weighted", choices=("weighted", "plain"), help="whether weights count in the vote on signs"),
    Parameter("zero_sign", "str", "plus", choices=("plus", "majority"), help="what is elected where the votes sum to 0"),
    Parameter("divisor", "str", "weights", choices=("weights", "count"), help="what normalize divides by: weights, or members that agree"),
)
_REFERENCE_TIES = {"density": 0.2, "scope": "model", "trim": "reference", "votes": "plain", "zero_sign": "majority", "divisor": "count"}
_INT8 = Parameter("int8_mask", "bool", False, help="read for mergekit's sake; votes need no mask memory here", example=None)


def _inside(options: Mapping[str, Any]) -> str | None:
    density, epsilon = options["density"], options["epsilon"]
    if density < 1 and not (density - epsilon > 0 and density + epsilon < 1):
        return f"density - epsilon and density + epsilon must lie between 0 and 1, got {density:g} and {epsilon:g}"
    return None


def _task_arithmetic(
    name: str, title: str, formula: str, source: str, *, normalize: bool, rescale: bool, extra: tuple[Parameter, ...] = (), **row: Any
) -> Method:
    """The family that differs only in which changes are kept and whether signs are voted on."""
    parameters = (WEIGHT, DENSITY, *extra, normalize_option(normalize), rescale_option(rescale), SCALE, _INT8)
    return Method(name, title, formula, source, parameters=parameters, needs=Needs("required"), **row)


_SUM = "base + scale * sum_j w_j "
_VOTE = "base + scale * (mean over the j of the elected sign of w_j "
_TIES = "Yadav et al. 2023, arXiv 2306.01708, section 3.1"
_DARE = "Yu et al. 2023, arXiv 2311.03099, section 3.2"
_CRUMBS = "Davari and Belilovsky 2023, arXiv 2312.06795, section 3"
_DELLA = "Deep et al. 2024, arXiv 2406.11617, section 3"
_RAM = "arXiv 2601.13572, section 3"
_DARE_NOTE = "kept changes are rescaled to the summed magnitude of all (mergekit's rule), which the paper's 1 / density is in expectation"

ROWS: tuple[Method, ...] = (
    Method(
        "linear",
        "Linear",
        "sum_i w_i x_i / sum_i w_i",
        "Wortsman et al. 2022, arXiv 2203.05482, section 2",
        group="averages and sums",
        purpose="fine-tunes of one base, much alike",
        combine=linear,
        parameters=(Parameter("weight", "float", scope="input", help="the model's coefficient", example=0.5), normalize_option(True)),
        keeps=frozenset({"order_free", "exact_on_identical", "in_span", "single_is_itself"}),
        paper=8,
    ),
    Method(
        "uniform_soup",
        "Uniform soup",
        "sum_i x_i / n",
        "Wortsman et al. 2022, arXiv 2203.05482, section 2",
        group="averages and sums",
        purpose="runs that differ in settings only",
        combine=uniform,
        keeps=frozenset({"order_free", "exact_on_identical", "in_span", "single_is_itself"}),
        paper=8,
    ),
    Method(
        "slerp",
        "SLERP",
        "(sin((1-t)a) x_0 + sin(t a) x_1) / sin a, a the angle between the base x_0 and the other",
        "Shoemake 1985, section 3.3",
        group="averages and sums",
        purpose="two models, a point on the arc between",
        combine=slerp,
        parameters=(Parameter("t", "float", help="0 is the base, 1 the other model", example=0.5),),
        needs=Needs("first", 1, 1),
        keeps=frozenset({"exact_on_identical", "in_span"}),
        paper=49,
    ),
    Method(
        "nuslerp",
        "NuSLERP",
        "slerp with t = w_2 / (w_1 + w_2), of the deltas when there is a base",
        "mergekit, method nuslerp",
        group="averages and sums",
        purpose="slerp by weights, of models or changes",
        combine=nuslerp,
        parameters=(
            WEIGHT,
            Parameter("nuslerp_flatten", "bool", True, help="treat the tensor as one vector"),
            Parameter("nuslerp_row_wise", "bool", False, help="when not flattened: vectors along the first axis, not the last"),
        ),
        needs=Needs("optional", 2, 2),
        keeps=frozenset({"exact_on_identical", "in_span", "zero_delta_is_base"}),
    ),
    Method(
        "multislerp",
        "Multi-SLERP",
        "one tangent-space mean at the weighted mean direction, times the weighted mean norm",
        "mergekit, method multislerp",
        group="averages and sums",
        purpose="slerp of more than two models",
        combine=multislerp,
        parameters=(
            WEIGHT,
            Parameter("normalize_weights", "bool", True, help="divide the weights by their sum"),
            Parameter("eps", "float", 1e-8, above=0, help="added to norms"),
        ),
        needs=Needs("optional", 1),
        keeps=frozenset({"order_free", "in_span", "single_is_itself"}),
    ),
    Method(
        "karcher",
        "Karcher mean",
        "Riemannian mean of the directions, times the mean norm",
        "Karcher 1977; arXiv 2603.04972",
        group="averages and sums",
        purpose="mean of directions, however far apart",
        combine=karcher,
        parameters=(
            Parameter("max_iter", "int", 10, at_least=1, help="iterations at most"),
            Parameter("tol", "float", 1e-5, above=0, help="length of the step that ends the iteration"),
        ),
        keeps=frozenset({"order_free", "exact_on_identical", "in_span", "single_is_itself"}),
    ),
    _task_arithmetic(
        "task_arithmetic",
        "Task arithmetic",
        _SUM + "d_j",
        "Ilharco et al. 2022, arXiv 2212.04089, section 2",
        group="averages and sums",
        purpose="add skills of several fine-tunes",
        normalize=False,
        rescale=False,
        combine=weighted_sum,
        keeps=frozenset({"order_free", "in_span", "zero_delta_is_base", "single_is_itself"}),
        paper=25,
        note="density and rescale are read for mergekit's sake and change nothing",
    ),
    _task_arithmetic(
        "ties",
        "TIES",
        _VOTE + "top(d_j))",
        _TIES,
        group="sparsity and signs",
        purpose="fine-tunes that pull in opposite ways",
        normalize=True,
        rescale=False,
        extra=_TIES_OPTIONS,
        per_delta=(keep_top,),
        combine=sign_consensus,
        presets={
            "mergekit": {},
            "paper": {**_REFERENCE_TIES, "scale": 1.0},
            "fusionbench": {**_REFERENCE_TIES, "scale": 0.3, "normalize": False},
            "peft": {"votes": "plain", "divisor": "count"},
        },
        keeps=frozenset({"order_free", "exact_on_identical", "zero_delta_is_base", "single_is_itself"}),
        paper=29,
        note="the defaults are mergekit's; preset paper is the authors' code without validation, which ranks over the whole model",
    ),
    _task_arithmetic(
        "dare_linear",
        "DARE",
        _SUM + "drop(d_j)",
        _DARE,
        group="sparsity and signs",
        purpose="redundant changes, thinned at random",
        normalize=False,
        rescale=True,
        extra=(_SEEDS,),
        per_delta=(drop_random,),
        combine=weighted_sum,
        keeps=frozenset({"zero_delta_is_base", "single_is_itself", "seeded"}),
        paper=25,
        note=_DARE_NOTE,
    ),
    _task_arithmetic(
        "dare_ties",
        "DARE with TIES signs",
        _VOTE + "drop(d_j)), not divided by default",
        _DARE,
        group="sparsity and signs",
        purpose="as dare_linear, with a vote on signs",
        normalize=False,
        rescale=True,
        extra=(_SEEDS,),
        per_delta=(drop_random,),
        combine=sign_consensus,
        keeps=frozenset({"zero_delta_is_base", "single_is_itself", "seeded"}),
        paper=25,
        note=_DARE_NOTE,
    ),
    _task_arithmetic(
        "breadcrumbs",
        "Model Breadcrumbs",
        _SUM + "middle(d_j)",
        _CRUMBS,
        group="sparsity and signs",
        purpose="drop both outliers and small changes",
        normalize=False,
        rescale=False,
        extra=(_GAMMA, _UNIT),
        per_delta=(cut_outliers,),
        combine=weighted_sum,
        presets={"mergekit": {}, "paper": {"density": 0.15, "gamma": 0.006, "unit": "row", "scale": 0.2}},
        keeps=frozenset({"order_free", "zero_delta_is_base", "single_is_itself"}),
        note="preset paper has the starting values of the search in the authors' code, which ranks within rows",
        paper=42,
    ),
    _task_arithmetic(
        "breadcrumbs_ties",
        "Model Breadcrumbs with TIES signs",
        _VOTE + "middle(d_j)), not divided by default",
        _CRUMBS,
        group="sparsity and signs",
        purpose="as breadcrumbs, with a vote on signs",
        normalize=False,
        rescale=False,
        extra=(_GAMMA, _UNIT),
        per_delta=(cut_outliers,),
        combine=sign_consensus,
        keeps=frozenset({"order_free", "zero_delta_is_base", "single_is_itself"}),
        paper=42,
    ),
    _task_arithmetic(
        "della",
        "DELLA",
        _VOTE + "drop_small(d_j))",
        _DELLA,
        group="sparsity and signs",
        purpose="as dare_ties, small changes go first",
        normalize=True,
        rescale=True,
        extra=(_EPSILON, _SEEDS),
        per_delta=(drop_small,),
        combine=sign_consensus,
        keeps=frozenset({"zero_delta_is_base", "single_is_itself", "seeded"}),
        constraint=_inside,
    ),
    _task_arithmetic(
        "della_linear",
        "DELLA without votes",
        _SUM + "drop_small(d_j)",
        _DELLA,
        group="sparsity and signs",
        purpose="as della, without the vote on signs",
        normalize=False,
        rescale=True,
        extra=(_EPSILON, _SEEDS),
        per_delta=(drop_small,),
        combine=weighted_sum,
        keeps=frozenset({"zero_delta_is_base", "single_is_itself", "seeded"}),
        constraint=_inside,
    ),
    Method(
        "sce",
        "SCE",
        "base + mean of the selected d_j that agree with the sign of their sum, weighted by mean square; selected by variance",
        "Wan et al. 2024, arXiv 2408.07990, section 3.3",
        group="sparsity and signs",
        purpose="keep places where members differ most",
        per_delta=(keep_varied,),
        combine=energy_consensus,
        parameters=(
            Parameter(
                "select_topk", "float", 1.0, at_least=0, at_most=1, help="share of places kept, by variance over the members", example=0.5
            ),
            _INT8,
        ),
        needs=Needs("required", 1),
        keeps=frozenset({"order_free", "exact_on_identical", "zero_delta_is_base", "single_is_itself"}),
    ),
    Method(
        "ram",
        "Reinforced agent merging",
        "base + sum of d_j over the members that changed the entry / their number",
        _RAM,
        group="sparsity and signs",
        purpose="RL-trained agents with sparse changes",
        combine=ram,
        parameters=(Parameter("epsilon", "float", 1e-5, at_least=0, help="a smaller change counts as none"),),
        needs=Needs("required", 1),
        keeps=frozenset({"order_free", "exact_on_identical", "zero_delta_is_base"}),
    ),
    Method(
        "ramplus_tl",
        "Reinforced agent merging plus, within tensors",
        "as ram, with a member's own changes times 1 + r min(shared / own, alpha)",
        _RAM,
        group="sparsity and signs",
        purpose="as ram, own changes made stronger",
        combine=ramplus_tl,
        parameters=(
            Parameter("epsilon", "float", 1e-5, above=0, help="a smaller change counts as none"),
            Parameter("r", "float", 0.1, help="strength of the rescaling"),
            Parameter("alpha", "float", 0.2, at_least=0, help="upper limit of shared / own"),
        ),
        needs=Needs("required", 1),
        keeps=frozenset({"order_free", "exact_on_identical", "zero_delta_is_base"}),
    ),
    Method(
        "model_stock",
        "Model Stock",
        "base + t (mean - base), t = n c / (1 + (n - 1) c), c the mean cosine between deltas",
        "Jang et al. 2024, arXiv 2403.19522, section 4",
        group="averages and sums",
        purpose="a few fine-tunes of the same task",
        combine=model_stock,
        parameters=(Parameter("filter_wise", "bool", False, help="one t for each row instead of each tensor"),),
        needs=Needs("required", 2),
        keeps=frozenset({"order_free", "exact_on_identical", "in_span", "zero_delta_is_base"}),
    ),
    Method(
        "nearswap",
        "NearSwap",
        "base + d clamp(t / abs(d), 0, 1)",
        "mergekit, method nearswap",
        group="one model",
        purpose="adopt another model where it is near",
        combine=nearswap,
        parameters=(Parameter("t", "float", at_least=0, help="the longest step, in the units of the weights", example=0.001),),
        needs=Needs("required", 1, 1),
        keeps=frozenset({"zero_delta_is_base"}),
    ),
    Method(
        "arcee_fusion",
        "Arcee fusion",
        "base + d where abs(d) KL(row) >= median + 1.5 (third - first quartile)",
        "mergekit, method arcee_fusion",
        group="one model",
        purpose="take only the other's important changes",
        combine=arcee_fusion,
        needs=Needs("required", 1, 1),
        keeps=frozenset({"zero_delta_is_base"}),
        note="quartiles are exact at every size; mergekit samples above a million entries",
    ),
    Method(
        "passthrough",
        "Passthrough",
        "scale * x",
        "mergekit, method passthrough",
        group="one model",
        purpose="copy or stack layers, unchanged",
        combine=passthrough,
        parameters=(Parameter("scale", "float", None, scope="input", help="factor on the tensor; none copies the bytes"),),
        needs=Needs("input", 1, 1),
        keeps=frozenset({"in_span", "single_is_itself"}),
    ),
)
