"""Singular vectors the cheapest exact way: from the Gram matrix of the short side, in float64.

Squaring halves the digits: singular values come out with an error of about 1e-8 of the largest, which is below the rounding of float32
inputs. What lies under the numerical rank, max(rows, columns) float32 steps of the largest value, is left out: the vectors there are
arbitrary, and a method that gave them weight would depend on the order of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STEP = 2.0**-23
"""Float32's relative step, for float64 too: the Gram matrix has no more digits."""


def eigen(gram: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues above the numerical rank of what the Gram matrix is of, descending, and their vectors as columns.

    gram: (n, n) symmetric float64. size: the longer side of the matrix.
    """
    import torch

    values, vectors = torch.linalg.eigh(gram)
    top = float(values[-1]) if len(values) else 0.0
    kept = int((values > max(top * (size * STEP) ** 2, top * 1e-15, 1e-300)).sum())
    return values.flip(0)[:kept], vectors.flip(1)[:, :kept]


def thin_svd(matrix: Tensor, keep: int | None = None, part_of: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """U (m, r), s (r,), V (n, r) in float64, s descending, r the numerical rank or `keep` where that is less.

    part_of: norm of what the matrix is left of, so that its rounding counts as nothing.

    >>> import torch
    >>> u, s, v = thin_svd(torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, -4.0]]))
    >>> s
    tensor([4., 3.], dtype=torch.float64)
    """
    wide = matrix.double()
    tall = wide if wide.shape[0] >= wide.shape[1] else wide.T
    values, v = eigen(tall.T @ tall, max(wide.shape))
    keep = min(len(values) if keep is None else keep, int((values > (part_of * max(wide.shape) * STEP) ** 2).sum()))
    s, v = values[:keep].sqrt(), v[:, :keep]
    u = (tall @ v).div_(s)
    return (u, s, v) if tall is wide else (v, s, u)


def nearest_orthonormal(columns: Tensor) -> Tensor:
    """The polar factor: the matrix with orthonormal columns that is nearest to `columns` (m, k), k at most m.

    Directions that columns share beyond the numerical rank are not made up: there the factor has lower rank.

    >>> import torch
    >>> nearest_orthonormal(torch.tensor([[2.0, 0.0], [0.0, 0.5], [0.0, 0.0]])).abs()
    tensor([[1., 0.],
            [0., 1.],
            [0., 0.]], dtype=torch.float64)
    """
    wide = columns.double()
    values, vectors = eigen(wide.T @ wide, max(wide.shape))
    return wide @ (vectors / values.sqrt() @ vectors.T)


def product(left: Tensor, right: Tensor, like: Tensor) -> Tensor:
    """left @ right', computed in the type of `like`: the last step needs no more digits than the result has."""
    return left.to(like.dtype) @ right.to(like.dtype).T
