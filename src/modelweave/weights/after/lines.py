"""Scale a change by the depth of its layer (LiNeS)."""

from __future__ import annotations


def lines(layer: int | None, layers: int | None, members: int, *, alpha: float | None, beta: float | None) -> float:
    """alpha + beta * layer / (layers - 1); alpha for tensors outside the layers.

    Shallow layers, which tasks share, move less than deep ones. alpha: 1 / members unless given, which is the paper's rule for a sum of
    task vectors (for other merges the authors' code multiplies it by the L1 norm of that sum over the L1 norm of the merged change).
    beta: 1 - alpha unless given, so that the last layer keeps its change whole; the paper tunes it on validation data when it merges.
    Source: Wang et al. 2024 (LiNeS), arXiv 2410.17146, equation 2; the authors' code for tensors outside the layers.

    >>> [lines(layer, 3, 2, alpha=None, beta=None) for layer in (None, 0, 1, 2)]
    [0.5, 0.5, 0.75, 1.0]
    """
    low = 1 / members if alpha is None else alpha
    rise = 1 - low if beta is None else beta
    return low if layer is None or layers is None else low + rise * layer / max(layers - 1, 1)
