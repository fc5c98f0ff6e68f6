"""Means on the sphere, as coefficients from inner products: no tensor is ever normalised.

gram: (..., n, n) float64 inner products of the n inputs; leading axes are rows or columns treated alone. Returns (..., n).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CompatibilityError
from ..part import Members, coefficients, column
from .linear import normalised

Floats = NDArray[np.float64]


def _arc(cos: Floats, t: float, straight: Any) -> Floats:
    """Coefficients of both ends at fraction t of the arc; (1 - t, t) where `straight`."""
    theta = np.arccos(np.where(straight, 0.0, np.clip(cos, -1, 1)))
    sine = np.sin(theta)
    first = np.where(straight, 1 - t, np.sin((1 - t) * theta) / sine)
    second = np.where(straight, t, np.sin(t * theta) / sine)
    return np.stack([first, second], axis=-1)


def _norms(gram: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0)))


def _length(coefficients: Floats, gram: Floats) -> float:
    """Length of the combination of vectors with these inner products."""
    return math.sqrt(max(float(coefficients @ gram @ coefficients), 0.0))


@coefficients("t", gram="tensor")
def slerp(gram: Floats, members: Members, *, t: float) -> Floats:
    """The point at fraction t of the arc from the base (t = 0) to the other model (t = 1).

    (sin((1 - t) a) x_0 + sin(t a) x_1) / sin a, with a the angle between them; nearly parallel inputs (abs(cos a) > 0.9995), which
    most fine-tunes of one model are, are interpolated linearly. Source: Shoemake 1985, section 3.3; the threshold is mergekit's.

    >>> slerp(np.eye(2), [], t=0.5).round(4)
    array([0.7071, 0.7071])
    """
    norms = np.where(_norms(gram) > 1e-8, _norms(gram), 1.0)
    cos = np.clip(gram[..., 0, 1] / (norms[..., 0] * norms[..., 1]), -1, 1)
    return _arc(cos, t, np.abs(cos) > 0.9995)


def _nuslerp_gram(options: Mapping[str, Any]) -> str:
    return "tensor" if options["nuslerp_flatten"] else "column" if options["nuslerp_row_wise"] else "row"


@coefficients("nuslerp_flatten", "nuslerp_row_wise", gram=_nuslerp_gram)
def nuslerp(gram: Floats, members: Members, *, nuslerp_flatten: bool, nuslerp_row_wise: bool) -> Floats:
    """Slerp with t = w_2 / (w_1 + w_2), of deltas when there is a base; linear only where the inputs are parallel.

    Not flattened, each vector along the last axis is treated alone; with nuslerp_row_wise each along the first (mergekit's naming).
    Source: mergekit's method of that name.
    """
    weights = column(members, "weight")
    total = float(weights.sum())
    t = 0.5 if abs(total) < 1e-6 else float(weights[1]) / total
    norms = np.maximum(_norms(gram), 1e-7)
    cos = np.clip(gram[..., 0, 1] / (norms[..., 0] * norms[..., 1]), -1, 1)
    return _arc(cos, t, 1 - cos**2 <= 1e-16)


@coefficients("normalize_weights", "eps", gram="tensor")
def multislerp(gram: Floats, members: Members, *, normalize_weights: bool, eps: float) -> Floats:
    """One step of the tangent-space barycentre at the weighted mean direction, times the weighted mean norm.

    u_i = x_i / |x_i|; m = sum w_i u_i / |sum w_i u_i|; v = sum w_i (u_i - (u_i . m) m); result = (m cos|v| + v sin|v| / |v|) sum w_i |x_i|.
    Opposite inputs whose weights cancel have no mean direction: two of them are interpolated linearly, more are an error.
    Source: mergekit's method of that name.
    """
    n = gram.shape[-1]
    if n == 1:
        return np.ones(1)
    weights = column(members, "weight")
    if normalize_weights:
        weights = normalised(weights, "multislerp", "normalize_weights")
    norms = _norms(gram)
    if not norms.any():
        return np.zeros(n)
    unit = 1 / (norms + eps)
    cosines = gram * unit[:, None] * unit[None, :]
    length = _length(weights, cosines)
    if length < eps:
        if n == 2:
            return weights
        raise CompatibilityError("multislerp: the weighted directions cancel out (opposite inputs); use other weights, or method linear")
    mean = weights / length
    tangent = weights - float(weights @ cosines @ mean) * mean
    angle = _length(tangent, cosines) + eps
    result = mean * np.cos(angle) + tangent * (np.sin(angle) / angle)
    return np.asarray(result * unit * float(weights @ norms))


@coefficients("max_iter", "tol", gram="tensor")
def karcher(gram: Floats, members: Members, *, max_iter: int, tol: float) -> Floats:
    """The Riemannian mean of the directions, equal weights, times the mean norm.

    Repeat m <- exp_m(mean_i log_m(u_i)) until the step is shorter than tol. Members without length have no direction and are left out
    of it. Source: Karcher 1977; iteration as in arXiv 2603.04972.
    """
    n = gram.shape[-1]
    norms = _norms(gram)
    valid = norms > tol
    if n == 1 or not valid.any():
        return np.ones(n) if n == 1 else np.zeros(n)
    unit = np.where(valid, 1 / np.where(valid, norms, 1), 0)
    cosines = gram * unit[:, None] * unit[None, :]
    share = valid / valid.sum()
    length = _length(share, cosines)
    mean = share / length if length >= tol else np.eye(n)[int(np.argmax(valid))]
    for _ in range(max_iter):
        dots = np.clip(cosines @ mean, -1, 1)
        angles = np.arccos(dots)
        moved = valid & (angles >= tol)
        pull = np.where(moved, share * angles / np.where(moved, np.sin(angles), 1), 0)
        tangent = pull - float(pull @ dots) * mean
        step = _length(tangent, cosines)
        if step < tol:
            break
        mean = np.cos(step) * mean + np.sin(step) * tangent / step
        length = _length(mean, cosines)
        mean = mean / length if length > tol else mean
    return np.asarray(mean * unit * norms.mean())
