"""Methods on singular vectors and Gram matrices, one row each."""

from __future__ import annotations

from ...row import Parameter
from ..combine.cart import cart
from ..combine.iso_c import iso_c, iso_cts
from ..combine.mean_of_changes import mean_of_changes
from ..combine.rule import RULES, rule
from ..combine.swudi import swudi
from ..combine.tsv_m import tsv_m
from ..method import Method, Needs
from ..options import SCALE, WEIGHT
from ..per_delta.star import star
from ..spaces.core_space import core_space
from ..spaces.knots import knots

_BASE = Needs("required")
_PLAIN = "vectors and tensors of more than two axes are averaged"
_RULE_DENSITY = Parameter("density", "float", 0.2, above=0, at_most=1, help="share of a member's entries that rule ties keeps, there")


def _rule(default: str) -> Parameter:
    return Parameter("rule", "str", default, choices=RULES, help="how changes are combined in the space")


ROWS: tuple[Method, ...] = (
    Method(
        "tsv_m",
        "Task singular vectors",
        "base + scale * P(U) diag(s) P(V)', of the leading singular triplets of all w_j d_j; P makes orthonormal",
        "Gargiulo et al. 2025, arXiv 2412.00081, section 4",
        group="spectra, by decomposing whole matrices",
        purpose="several tasks, kept orthogonal",
        combine=tsv_m,
        parameters=(WEIGHT, SCALE),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base", "single_is_itself"}),
        note=_PLAIN,
    ),
    Method(
        "iso_c",
        "Isotropic merging, common space",
        "base + scale * mean(s) U V', of the singular vectors of sum_j w_j d_j",
        "Marczak et al. 2025, arXiv 2502.04959, section 4.1",
        group="spectra, by decomposing whole matrices",
        purpose="many tasks, all directions made equal",
        combine=iso_c,
        parameters=(WEIGHT, SCALE),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note=_PLAIN + "; within the sum's numerical rank, where the authors' code gives arbitrary directions weight too",
    ),
    Method(
        "iso_cts",
        "Isotropic merging, common and task-specific spaces",
        "base + scale * mean(s) P(U) P(V)', of common singular vectors and of each member's own",
        "Marczak et al. 2025, arXiv 2502.04959, section 4.2",
        group="spectra, by decomposing whole matrices",
        purpose="as iso_c, with directions of each task",
        combine=iso_cts,
        parameters=(
            WEIGHT,
            Parameter("common_fraction", "float", 0.8, at_least=0, at_most=1, help="share of the directions that is common"),
            SCALE,
        ),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note=_PLAIN,
    ),
    Method(
        "knots",
        "KnOTS",
        "base + scale * U rule(U' d_j), U the joint left singular vectors of all d_j",
        "Stoica et al. 2025, arXiv 2410.19735, section 4",
        group="spectra, by decomposing whole matrices",
        purpose="LoRAs, aligned before TIES",
        combine=rule,
        space=knots,
        parameters=(WEIGHT, _rule("ties"), _RULE_DENSITY, SCALE),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note=_PLAIN + "; made for LoRA, whose changes share few directions",
    ),
    Method(
        "core_space",
        "Core space",
        "base + scale * U rule(U' d_j V) V', U and V the joint column and row spaces of all d_j",
        "Panariello et al. 2025, arXiv 2509.17786, section 3",
        group="spectra, by decomposing whole matrices",
        purpose="LoRAs, merged in their joint space",
        combine=rule,
        space=core_space,
        parameters=(WEIGHT, _rule("tsv_m"), _RULE_DENSITY, SCALE),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note=_PLAIN + "; made for LoRA, whose changes share few directions",
    ),
    Method(
        "star",
        "STAR",
        "base + scale * mean of w_j d_j cut to its leading singular values and brought back to its nuclear norm",
        "Lee et al. 2025, arXiv 2502.10339, section 3",
        group="spectra, by decomposing whole matrices",
        purpose="cut the noise of each change",
        combine=mean_of_changes,
        per_delta=(star,),
        parameters=(
            WEIGHT,
            Parameter("nuclear_share", "float", 0.4, above=0, at_most=1, help="share of the nuclear norm that is kept (the paper's eta)"),
            SCALE,
        ),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note=_PLAIN,
    ),
    Method(
        "cart",
        "Centred task arithmetic at low rank",
        "base + scale * (mean + spread * sum_j w_j low_rank(d_j - mean))",
        "Choi et al. 2024, arXiv 2412.12153, section 4",
        group="spectra, by decomposing whole matrices",
        purpose="several tasks, centred on their mean",
        combine=cart,
        parameters=(
            WEIGHT,
            Parameter("rank_share", "float", 0.04, above=0, at_most=1, help="share of the singular directions that is kept"),
            Parameter("spread", "float", 1.0, help="factor on what the members have beyond their mean"),
            SCALE,
        ),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base", "exact_on_identical", "single_is_itself"}),
        note=_PLAIN,
    ),
    Method(
        "swudi",
        "Spectral WUDI",
        "base + scale * the change that interferes least with the members' row spaces, by a spectral filter from their sum",
        "arXiv 2606.07289; loss: Cheng et al. 2025, arXiv 2503.08099, section 3",
        group="spectra, by decomposing whole matrices",
        purpose="least interference, without data",
        combine=swudi,
        parameters=(
            WEIGHT,
            Parameter("time", "float", 300.0, at_least=0, help="how long the gradient flow runs: the strength of the filter"),
            Parameter("rank_share", "float", 0.65, above=0, at_most=1, help="share of the columns' directions that is filtered"),
            SCALE,
        ),
        needs=_BASE,
        keeps=frozenset({"order_free", "zero_delta_is_base", "single_is_itself"}),
        note=_PLAIN,
    ),
)
