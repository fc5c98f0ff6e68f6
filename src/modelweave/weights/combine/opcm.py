"""OPCM, continual merging by orthogonal projection: each new task vector loses what the merge so far already says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, TypeGuard

from ...errors import CheckpointError, CompatibilityError
from ..method import OverModel, Rescaling
from ..part import Context, tensors

if TYPE_CHECKING:
    from torch import Tensor

_ROUNDED = 1e-3
"""A merged model whose distance from the base is off by more than this share is not what the state was recorded for."""


@tensors(sees="element")
def sum_of_arrivals(deltas: Tensor, context: Context) -> Tensor:
    """lambda d_1 + d_2 + ... + d_n; lambda is that of a first member that stands for earlier ones, else 1.

    >>> import torch
    >>> sum_of_arrivals(torch.tensor([[1.0], [2.0]]), Context("b", (1,)))
    tensor([3.])
    """
    total = deltas.sum(0)
    return total + (_earlier(context) - 1) * deltas[0]


@tensors("alpha", "projection", sees="matrix", otherwise=sum_of_arrivals)
def opcm(deltas: Tensor, context: Context, *, alpha: float, projection: str) -> Tensor:
    """E_n of E_1 = d_1, E_t = E_(t-1) + clean(d_t; E_(t-1)), the merged change up to one factor for the whole model.

    deltas: (members, rows, columns), in the order of arrival. With E = U S V^T and P = U^T d V, r the number of singular values before
    the one at which their sum first exceeds alpha of the whole: `reference` removes P[:r, :r] and the diagonal of P, `strict` keeps only
    P[r:, r:] without its diagonal, `none` removes nothing. Singular values below the numerical rank have no directions of their own and
    remove nothing; where two are equal their directions, and so the diagonal, are the decomposition's choice. The published recursion
    divides by lambda at every step, which scales and does not turn, so that one rescaling at the end is enough.
    alpha: in [0, 1). Matrices before the layers (embeddings) are added as they are: the code projects linear layers only.
    Source: Tang et al. 2025, arXiv 2501.09522, as in FusionBench's OPCMForCLIP (that is `reference`).

    >>> import torch
    >>> deltas = torch.tensor([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]]])
    >>> opcm(deltas, Context("w", (2, 2)), alpha=0.5, projection="reference").round(decimals=4)
    tensor([[3., 2.],
            [3., 1.]])
    """
    if projection == "none" or context.before or not deltas.isfinite().all():
        return sum_of_arrivals(deltas, context)
    noise = _noise(deltas, context.base)
    total = deltas[0].double() * _earlier(context)
    for delta in deltas[1:]:
        total = total + clean(delta.double(), total, alpha=alpha, strict=projection == "strict", noise=noise)
    return total.to(deltas.dtype)


def clean(delta: Tensor, total: Tensor, *, alpha: float, strict: bool = False, noise: float = 0.0) -> Tensor:
    """The part of a change (rows, columns) that the dominant singular directions of `total` do not say; both float64.

    noise: singular values of total up to it are none. From the economy decomposition, so that no square of the longer side is made.
    """
    import torch

    if not total.numel():
        return delta
    u, s, vh = torch.linalg.svd(total, full_matrices=False)
    rank = int((s > max(noise, max(total.shape) * torch.finfo(s.dtype).eps * float(s[0]))).sum())
    if not rank:
        return delta
    u, s, v = u[:, :rank], s[:rank], vh[:rank].T
    split = int((s.cumsum(0) <= alpha * s.sum()).sum())
    right: Tensor = delta @ v
    diagonal = (u * right).sum(0)
    if not strict:
        said = torch.diag(diagonal)
        said[:split, :split] = u[:, :split].T @ right[:, :split]
        rest: Tensor = delta - u @ said @ v.T
        return rest
    diagonal[:split] = 0
    rest = delta - right[:, :split] @ v[:, :split].T
    rest = rest - u[:, :split] @ (u[:, :split].T @ rest) - (u * diagonal) @ v.T
    return rest


def mean_norm(norms: Sequence[float], norm: float, earlier: Sequence[Mapping[str, Any]]) -> Rescaling:
    """The factor that gives the merged change the mean norm of all models' changes, and the state from which merging goes on.

    norms: of the members' changes over the whole model. norm: of the sum E. earlier: each member's state, empty for a plain one;
    {"count", "lambda", "norm"}: how many models it stands for, what its change is multiplied by, their mean norm.

    >>> mean_norm([3.0, 5.0], 8.0, [{}, {}])
    Rescaling(factor=0.5, record={'count': 2, 'lambda': 2.0, 'norm': 4.0}, warning='')
    """
    counts = [int(state.get("count", 1)) for state in earlier]
    means = [float(state.get("norm", own)) for state, own in zip(earlier, norms, strict=True)]
    mean = sum(count * each for count, each in zip(counts, means, strict=True)) / sum(counts)
    off = max((abs(own - each) / each for own, each in zip(norms, means, strict=True) if each), default=0.0)
    warning = (
        f"opcm: the first model's change is off its recorded norm by {off:.1%}, so it was rounded, changed, or merged over another base; "
        "out_dtype float32 keeps it exact"
        if off > _ROUNDED
        else ""
    )
    if not norm or not mean:
        return Rescaling(1.0, {"count": sum(counts), "lambda": 1.0, "norm": mean}, warning)
    return Rescaling(mean / norm, {"count": sum(counts), "lambda": norm / mean, "norm": mean}, warning)


def states_of(records: Sequence[Any], whos: Sequence[str], options: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Each member's state, empty for one that stands for itself alone; records: what the manifests of the members say of opcm, or None.

    Raises CompatibilityError where a later member has such a record, CheckpointError for one that makes no sense.
    """
    if options["state"] == "ignore" or all(record is None for record in records):
        return ()
    later = next((who for who, record in zip(whos[1:], records[1:], strict=True) if record is not None), None)
    if later is not None:
        raise CompatibilityError(
            f"{later}: is a result of opcm, from which a merge goes on only when it comes first; list it first, "
            "or set state to 'ignore' to merge it as one model"
        )
    if not _sound(records[0]):
        raise CheckpointError(
            f"{whos[0]}: 'opcm' in its modelweave.json is damaged, expected count, lambda and norm; "
            "get a fresh copy, or set state to 'ignore'"
        )
    return (records[0], *({} for _ in records[1:]))


def _sound(record: Any) -> bool:
    if not isinstance(record, Mapping):
        return False
    count, factor, norm = (record.get(key) for key in ("count", "lambda", "norm"))
    return type(count) is int and count > 0 and _number(factor) and factor > 0 and _number(norm) and norm >= 0


def _number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and isfinite(value)


def _earlier(context: Context) -> float:
    return float(context.states[0].get("lambda", 1.0)) if context.states else 1.0


def _noise(deltas: Tensor, base: Tensor | None) -> float:
    """What rounding the weights leaves of a change in its singular values: a random matrix of eps times the size of a weight."""
    import torch

    if base is None or not base.numel():
        return 0.0
    rows, columns = base.shape
    size = float(base.double().square().mean().sqrt())
    return torch.finfo(deltas.dtype).eps * size * (sqrt(rows) + sqrt(columns))


OVER_MODEL = OverModel(mean_norm, states_of, {"count": 1, "lambda": 1.0, "norm": 0.0})
