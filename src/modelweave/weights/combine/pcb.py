"""PCB: each entry of each change gets its own coefficient, from its size and from its agreement with the other members."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from ..exact_sum import limbs, value_of
from ..formula import clamp, exp, maximum, rounded, sign, tanh, where
from ..part import Context, Round, column, formula

CLIPS = {"main": 1e-4, "vision": 1e-2, "es": 1e-2}
_BOUNDS, _MASSES, _EDGES = range(3)
"""Which round finds what."""
_ENDS = [0, -1]


def bounds(deltas: Any, context: Context, *, variant: str, clip: float | None = None) -> tuple[list[Any], list[list[int]]]:
    """The magnitudes' order statistics that clip each member; of the paper's form, the range of each product of two members."""
    if variant == "paper":
        products = [product for _, _, product in _products(deltas)]
        return products, [_ENDS] * len(products)
    size, share = prod(context.shape), CLIPS[variant] if clip is None else clip
    return [abs(delta) for delta in deltas], [[int(size * share), int(size * (1 - share) - 1)]] * len(deltas)


def masses(deltas: Any, context: Context, *, variant: str, clip: float | None = None) -> list[Any]:
    """Of the paper's form: the denominators of its softmaxes, of members and then of pairs, in limbs."""
    if variant != "paper":
        return []
    units = list(_product_units(deltas, context))
    own = [exp(len(deltas) * unit) for i, j, unit in units if i == j]
    return [limb for value in [*own, *(exp(unit) for _, _, unit in units)] for limb in limbs(value)]


def edges(deltas: Any, context: Context, *, variant: str, clip: float | None = None) -> tuple[list[Any], list[list[int]]]:
    """The scores' order statistics: the last that is kept, or the first that is not, and the best."""
    size = prod(context.shape)
    densities = column(context.members, "density").tolist()
    if variant == "paper":
        cuts = [size - min(size, max(1, round(size * density))) for density in densities]
    else:
        cuts = [int(size * (1 - density)) for density in densities]
    return _scores(deltas, context, variant)[0], [[cut, -1] for cut in cuts]


@formula("variant", "clip", rounds=(Round("ranked", bounds), Round("sums", masses), Round("ranked", edges, sparse=True)), wide=True)
def pcb(deltas: Any, context: Context, *, variant: str, clip: float | None = None) -> Any:
    """sum_j share_j weight_j c_j / sum_j share_j, entry by entry; c_j is d_j with clipped magnitudes, share_j its score beyond a quantile.

    deltas: (members, ...). With D entries, N members, mm(x) = (x - min) / (max - min) over the tensor (0 where max is min):

    - clip q: magnitudes a_j are clipped to those of rank int(q D) and int((1 - q) D - 1); u_j = mm(a_j).
    - score_j = exp(N u_j^2) inter_j. `main`: inter_j = tanh(d_j sum_i d_i), q 1e-4. `vision`: tanh(d_j sum_i sign(d_i) u_i), q 1e-2.
      `es`: sum_i tanh(sign(d_j) u_j sign(d_i) u_i), q 1e-2.
    - share_j = mm(max(score_j, the one of rank int((1 - density_j) D))). That one gets 0 too, so D - int((1 - density_j) D) - 1 entries
      stay, and none of a tensor so small that this is 0: there the base stays.
    - `paper`: nothing is clipped. score_j = softmax(N mm(d_j^2)) sum_i softmax(mm(d_j d_i)), softmaxes over the tensor; shares are
      the round(density_j D) largest scores, at least one, and all that equal the last of these.

    Ranks compare float32. An entry that nobody keeps stays as in the base; so does all where every change is zero. Source: Du et al.
    2024, arXiv 2410.02396; `main`, `vision` and `es` as pcb-merging.py, pcb.py and pcb_ES.py of the authors' code, which differ from
    the paper and from one another. `paper` has
    the softmaxes of the paper; its details were not compared with the paper's text.

    >>> import torch
    >>> from modelweave.weights.formula import whole
    >>> tau = torch.tensor([[1, -0.5, 0.2, 0], [0.8, 0.6, -0.1, 0.3]], dtype=torch.float64)
    >>> members = ({"density": 0.5, "weight": 1.0},) * 2
    >>> pcb(tau, whole(pcb, tau, Context("w", (4,), members), variant="main"), variant="main")
    tensor([0.5500, 0.0000, 0.0000, 0.0000], dtype=torch.float64)
    """
    kept, values = shares(deltas, context, variant=variant)
    weights = column(context.members, "weight").tolist()
    total = sum(share * value * weight for share, value, weight in zip(kept, values, weights, strict=True))
    return total / maximum(sum(kept), 1e-300 if variant == "paper" else 1e-12)  # the released code divides by 1e-12 at least


def shares(deltas: Any, context: Context, *, variant: str) -> tuple[list[Any], list[Any]]:
    """Each entry's share and the (clipped) change that it is a share of, one of each a member."""
    scores, values = _scores(deltas, context, variant)
    kept = []
    for score, (edge, best) in zip(scores, context.seen[_EDGES].tolist(), strict=True):
        if variant == "paper":
            kept.append(score * (rounded(score) >= edge))
        else:
            kept.append(where(rounded(score) > edge, (score - edge) / max(best - edge, 1e-300), 0.0))
    return kept, values


def _products(deltas: Any) -> Iterator[tuple[int, int, Any]]:
    for i in range(len(deltas)):
        for j in range(i, len(deltas)):
            yield i, j, deltas[i] * deltas[j]


def _unit(value: Any, low: float, high: float) -> Any:
    """(x - low) / (high - low), and 0 where these are the same."""
    return (value - low) / (high - low) if high > low else value * 0.0


def _product_units(deltas: Any, context: Context) -> Iterator[tuple[int, int, Any]]:
    for (i, j, product), (low, high) in zip(_products(deltas), context.seen[_BOUNDS].tolist(), strict=True):
        yield i, j, _unit(product, low, high)


def _scores(deltas: Any, context: Context, variant: str) -> tuple[list[Any], list[Any]]:
    """Each entry's score, and the changes with clipped magnitudes."""
    if variant == "paper":
        return _paper_scores(deltas, context), list(deltas)
    limits = context.seen[_BOUNDS].tolist()
    sizes = [clamp(abs(delta), low, high) for delta, (low, high) in zip(deltas, limits, strict=True)]
    units = [_unit(size, low, high) for size, (low, high) in zip(sizes, limits, strict=True)]
    signs = [sign(delta) for delta in deltas]
    signed = [own * unit for own, unit in zip(signs, units, strict=True)]
    if variant == "es":
        inter = [sum(tanh(own * other) for other in signed) for own in signed]
    else:
        total = sum(deltas if variant == "main" else signed)
        inter = [tanh(delta * total) for delta in deltas]
    scores = [exp(len(deltas) * (unit * unit)) * agreement for unit, agreement in zip(units, inter, strict=True)]
    return scores, [own * size for own, size in zip(signs, sizes, strict=True)]


def _paper_scores(deltas: Any, context: Context) -> list[Any]:
    n = len(deltas)
    sums = value_of(context.seen[_MASSES].reshape(-1, 3)).tolist()
    intra, inter = [0.0] * n, [0.0] * n
    for (i, j, unit), mass in zip(_product_units(deltas, context), sums[n:], strict=True):
        agreement = exp(unit) / mass
        inter[i] = inter[i] + agreement
        if i == j:
            intra[i] = exp(n * unit) / sums[i]
        else:
            inter[j] = inter[j] + agreement
    return [own * others for own, others in zip(intra, inter, strict=True)]
