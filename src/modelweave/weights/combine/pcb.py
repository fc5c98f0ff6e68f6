"""PCB: each entry of each change gets its own coefficient, from its size and from its agreement with the other members."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..exact_sum import limbs, value_of
from ..part import Context, column, spec_of, tensors
from ..quantiles import LITTLE_MEMORY, count_digits, find

if TYPE_CHECKING:
    from torch import Tensor

    Seen = tuple[NDArray[np.float64], ...]

CLIPS = {"main": 1e-4, "vision": 1e-2, "es": 1e-2}
_BOUNDS, _MASSES, _EDGES = slice(0, 3), 3, slice(4, 7)
"""Which rounds count what."""
_ENDS = (0, -1)


def bounds(deltas: Tensor, context: Context, seen: Seen, *, variant: str, clip: float | None = None) -> NDArray[np.float64]:
    """The magnitudes' order statistics that clip each member; of the paper's form, the range of each product of two members."""
    import torch

    rows = _rows(deltas)
    if variant == "paper":
        extremes = [torch.stack((product.amin(), product.amax())) for _, _, product in _products(rows)]
        return count_digits(torch.stack(extremes), seen, _ENDS, LITTLE_MEMORY)
    return count_digits(rows.abs(), seen, _limits(context, variant, clip), LITTLE_MEMORY)


def masses(deltas: Tensor, context: Context, seen: Seen, *, variant: str, clip: float | None = None) -> NDArray[np.float64]:
    """Of the paper's form: the denominators of its softmaxes, (members + pairs, 3), in limbs."""
    if variant != "paper":
        return np.zeros(0)
    rows = _rows(deltas)
    own, pairs = [], []
    for i, j, unit in _product_units(rows, seen):
        pairs.append(limbs(unit.exp()))
        if i == j:
            own.append(limbs((len(rows) * unit).exp()))
    return np.array(own + pairs)


def edges(deltas: Tensor, context: Context, seen: Seen, *, variant: str, clip: float | None = None) -> NDArray[np.float64]:
    """The scores' order statistics: the last that is kept, or the first that is not, and the best."""
    scores, _ = _scores(_rows(deltas), seen, context, variant, clip)
    return count_digits(scores, seen[_EDGES], _cuts(context, variant), LITTLE_MEMORY)


@tensors("variant", "clip", sees="element", rounds=(bounds, bounds, bounds, masses, edges, edges, edges))
def pcb(deltas: Tensor, context: Context, *, variant: str, clip: float | None = None) -> Tensor:
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
    >>> tau = torch.tensor([[1, -0.5, 0.2, 0], [0.8, 0.6, -0.1, 0.3]])
    >>> pcb(tau, measured(tau, density=0.5), variant="main")
    tensor([0.5500, 0.0000, 0.0000, 0.0000])
    """
    kept, values = shares(deltas, context, variant=variant, clip=clip)
    return share_mean(kept, values, context, variant).reshape(deltas.shape[1:]).to(deltas.dtype)


def shares(deltas: Tensor, context: Context, *, variant: str, clip: float | None = None) -> tuple[Tensor, Tensor]:
    """Each entry's share and the (clipped) change that it is a share of, both (members, entries) in float64."""
    import torch

    scores, values = _scores(_rows(deltas), context.seen, context, variant, clip)
    found = find(context.seen[_EDGES], _cuts(context, variant), LITTLE_MEMORY).astype(np.float64)
    edge, best = (scores.new_tensor(found[:, k, None]) for k in (0, 1))
    ranked = scores.to(torch.float32)
    if variant == "paper":
        return scores * (ranked >= edge), values
    return torch.where(ranked > edge, (scores - edge) / (best - edge).clamp(min=1e-300), 0.0), values


def share_mean(kept: Tensor, values: Tensor, context: Context, variant: str) -> Tensor:
    """sum_j share_j weight_j c_j / sum_j share_j; the released code divides by 1e-12 at least."""
    weights = kept.new_tensor(column(context.members, "weight"))[:, None]
    return (kept * values * weights).sum(0) / kept.sum(0).clamp(min=1e-300 if variant == "paper" else 1e-12)


def measured(deltas: Tensor, *, density: float, variant: str = "main", clip: float | None = None, weight: float = 1.0) -> Context:
    """A context with all rounds run, for a whole tensor at hand."""
    options: dict[str, Any] = {"variant": variant, "clip": clip}
    members = ({"density": density, "weight": weight},) * len(deltas)
    seen: Seen = ()
    for count in spec_of(pcb).rounds:
        seen = (*seen, count(deltas, Context("", tuple(deltas.shape[1:]), members), seen, **options))
    return Context("", tuple(deltas.shape[1:]), members, seen=seen)


def _rows(deltas: Tensor) -> Tensor:
    """(members, entries) in float64, so that ranks do not hang on how the last bits of exp and tanh come out."""
    return deltas.reshape(len(deltas), -1).double()


def _products(rows: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    for i in range(len(rows)):
        for j in range(i, len(rows)):
            yield i, j, rows[i] * rows[j]


def _limits(context: Context, variant: str, clip: float | None) -> list[int]:
    """The ranks of the magnitudes that a member is clipped to."""
    size, share = prod(context.shape), CLIPS[variant] if clip is None else clip
    return [int(size * share), int(size * (1 - share) - 1)]


def _cuts(context: Context, variant: str) -> list[list[int]]:
    """Of each member the ranks of the score at the edge and of the best."""
    size = prod(context.shape)
    densities = [float(options["density"]) for options in context.members]
    if variant == "paper":
        return [[size - min(size, max(1, round(size * density))), -1] for density in densities]
    return [[int(size * (1 - density)), -1] for density in densities]


def _unit(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """(x - low) / (high - low), and 0 where these are the same."""
    span = high - low
    return (values - low) * (span > 0) / (span + (span <= 0))


def _product_units(rows: Tensor, seen: Seen) -> Iterator[tuple[int, int, Tensor]]:
    ranges = rows.new_tensor(find(seen[_BOUNDS], _ENDS, LITTLE_MEMORY).astype(np.float64))
    for (i, j, product), (low, high) in zip(_products(rows), ranges, strict=True):
        yield i, j, _unit(product, low, high)


def _scores(rows: Tensor, seen: Seen, context: Context, variant: str, clip: float | None) -> tuple[Tensor, Tensor]:
    """Each entry's score, and the changes with clipped magnitudes."""
    import torch

    if variant == "paper":
        return _paper_scores(rows, seen), rows
    found = find(seen[_BOUNDS], _limits(context, variant, clip), LITTLE_MEMORY).astype(np.float64)
    low, high = (rows.new_tensor(found[:, k, None]) for k in (0, 1))
    sizes = rows.abs().clamp(low, high)
    units = _unit(sizes, low, high)
    signed = rows.sign() * units
    if variant == "es":
        inter = torch.stack([(own * signed).tanh().sum(0) for own in signed])
    else:
        inter = (rows * (rows if variant == "main" else signed).sum(0)).tanh()
    return (len(rows) * units**2).exp() * inter, rows.sign() * sizes


def _paper_scores(rows: Tensor, seen: Seen) -> Tensor:
    import torch

    n = len(rows)
    sums = value_of(seen[_MASSES])
    own, pairs = sums[:n], iter(sums[n:])
    intra, inter = torch.empty_like(rows), torch.zeros_like(rows)
    for i, j, unit in _product_units(rows, seen):
        agreement = unit.exp() / next(pairs)
        inter[i] += agreement
        if i == j:
            intra[i] = (n * unit).exp() / own[i]
        else:
            inter[j] += agreement
    return intra * inter
