"""Methods that choose or weigh entry by entry, beyond mergekit's, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...row import Parameter
from ..combine.consensus import consensus
from ..combine.emr import MASKS, emr
from ..combine.magmax import magmax
from ..combine.mixing import weighted_sum
from ..combine.pcb import pcb
from ..method import Method, Needs
from ..options import SCALE, SCOPE, WEIGHT
from ..per_delta.cabs import cabs


def _at_most_m(options: Mapping[str, Any]) -> str | None:
    n, m = options["n"], options["m"]
    return f"n must be at most m, got {n} of {m}" if n > m else None


def _clips(options: Mapping[str, Any]) -> str | None:
    if options["variant"] == "paper" and options["clip"] is not None:
        return "variant paper clips nothing; leave clip out, or choose variant main, vision or es"
    return None


ROWS: tuple[Method, ...] = (
    Method(
        "pcb",
        "PCB-Merging",
        "base + scale * sum_j share_j w_j clip(d_j) / sum_j share_j, share_j the best scores of size times agreement",
        "Du et al. 2024, arXiv 2410.02396; authors' code",
        group="sparsity and signs",
        purpose="keep changes that are large and agreed",
        combine=pcb,
        parameters=(
            WEIGHT,
            Parameter("density", "float", 0.1, scope="model", above=0, at_most=1, help="share of the member's entries kept, by score"),
            Parameter("variant", "str", "main", choices=("paper", "main", "vision", "es"), help="whose score: the paper's, or the code's"),
            Parameter("clip", "float", None, at_least=0, at_most=0.5, help="share clipped at both ends; none: 1e-4 (main), 0.01 (others)"),
            SCOPE,
            SCALE,
        ),
        presets={
            "paper": {"variant": "paper", "scope": "model"},
            "language": {"variant": "main", "scope": "model", "density": 0.1},
            "vision": {"variant": "vision", "scope": "model", "density": 0.05, "scale": 1.2},
        },
        needs=Needs("required"),
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        paper=22,
        constraint=_clips,
        note="ranked within tensors, where the authors (and the presets) rank the whole model; tensors of up to 1 / density entries stay",
    ),
    Method(
        "magmax",
        "MagMax",
        "base + scale * the d_j with the largest abs(d_j), entry by entry",
        "Marczak et al. 2024, arXiv 2407.06322; authors' code",
        group="sparsity and signs",
        purpose="tasks learned one after another",
        combine=magmax,
        parameters=(SCALE,),
        needs=Needs("required"),
        keeps=frozenset({"exact_on_identical", "zero_delta_is_base", "single_is_itself"}),
        note="of equally large changes the last member's, as in the authors' code, whose scripts scale by 0.5",
    ),
    Method(
        "emr",
        "EMR-Merging",
        "base + scale * sign(sum_j d_j) times the largest abs(d_j) of that sign",
        "Huang et al. 2024, arXiv 2405.17461, section 3.2",
        group="sparsity and signs",
        purpose="keep each task's model recoverable",
        combine=emr,
        parameters=(SCALE,),
        needs=Needs("required"),
        keeps=frozenset({"order_free", "exact_on_identical", "zero_delta_is_base", "single_is_itself"}),
        masks=MASKS,
        note="a written result has each member's mask and rescaler beside it, for modelweave.recover; rescalers are ratios of sums, as in "
        "the paper, where the authors' code adds up the means of tensors",
    ),
    Method(
        "consensus",
        "Consensus merging (TALL masks)",
        "base + scale * sum_j w_j d_j where at least agree members have abs(d_i) > mask_lambda abs(sum - d_i)",
        "Wang et al. 2024, arXiv 2405.07813; authors' code",
        group="sparsity and signs",
        purpose="drop changes that serve one task only",
        combine=consensus,
        parameters=(
            WEIGHT,
            Parameter("mask_lambda", "float", 0.4, scope="model", at_least=0, help="how strict the member's mask is; authors: 0.2 to 0.6"),
            Parameter("agree", "int", 2, at_least=0, aliases=("prun_thre_k",), help="masks that must hold an entry for it to stay"),
            SCALE,
        ),
        needs=Needs("required"),
        keeps=frozenset({"order_free", "zero_delta_is_base"}),
        note="mask_lambda is the middle of the values that the authors choose from on validation data, for each member",
    ),
    Method(
        "cabs",
        "CABS",
        "base + scale * sum_j w_j of the n largest changes in every m neighbours that no earlier member has taken",
        "Yang et al. 2025, arXiv 2503.01874; authors' code",
        group="sparsity and signs",
        purpose="sparse changes that must not overlap",
        per_delta=(cabs,),
        combine=weighted_sum,
        parameters=(
            WEIGHT,
            Parameter("n", "int", 64, at_least=1, help="entries of a block that a member keeps"),
            Parameter("m", "int", 256, at_least=1, help="neighbours along the last axis that make a block"),
            SCALE,
        ),
        needs=Needs("required"),
        keeps=frozenset({"zero_delta_is_base"}),
        constraint=_at_most_m,
        note="members choose in the order of the recipe; n and m are those of the authors' 7B models",
    ),
)
