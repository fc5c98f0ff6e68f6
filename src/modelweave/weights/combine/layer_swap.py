"""The outer layers of one expert around the middle of another (layer swapping)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import ParameterError
from ..part import Context, Members, coefficients

SIDES = ("language", "task", "mean")
_SHARES = {"language": 1.0, "task": 0.0, "mean": 0.5}


@coefficients("bottom", "top", "transition_bottom", "transition_top", "transition_weight", "embed_from", "head_from", placed=True)
def layer_swap(
    gram: None,
    members: Members,
    *,
    context: Context,
    bottom: int | None,
    top: int | None,
    transition_bottom: int | None,
    transition_top: int | None,
    transition_weight: float,
    embed_from: str | None,
    head_from: str | None,
) -> NDArray[np.float64]:
    """(1 - w, w) for the task expert and the language expert: w is 1 in the outer layers, transition_weight beside them, 0 between.

    Of N layers the first `bottom` and the last `top` are the language expert's. Where nothing is given, the paper's 5 and 2 of 32 layers,
    with one transition layer each, are scaled to N. Embeddings follow the first layer and everything behind the layers the last, unless
    embed_from and head_from say language, task or mean; of a tied embedding there is one tensor, and embed_from decides.
    Source: Bandarkar et al. 2024, arXiv 2410.01335, section 4.

    >>> options = dict(bottom=1, top=1, transition_bottom=1, transition_top=0, transition_weight=0.5, embed_from=None, head_from=None)
    >>> [layer_swap(None, [], context=Context("w", (), layer=i, layers=4), **options).tolist() for i in range(4)]
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    """
    layers = context.layers
    if layers is None:
        low = _SHARES[embed_from] if embed_from else float(bottom is None or bottom > 0)
        high = _SHARES[head_from] if head_from else float(top is None or top > 0)
        share = low if context.before else high
    else:
        share = _share(context.layer or 0, layers, (bottom, top, transition_bottom, transition_top), transition_weight)
    return np.array([1 - share, share])


def _share(layer: int, layers: int, given: tuple[int | None, ...], transition: float) -> float:
    scaled = (round(5 * layers / 32), round(2 * layers / 32), round(layers / 32), round(layers / 32))
    bottom, top, above, below = (default if value is None else value for value, default in zip(given, scaled, strict=True))
    if bottom + above + below + top > layers:
        raise ParameterError(
            f"bottom {bottom}, transition_bottom {above}, transition_top {below} and top {top} are more than the {layers} layers; "
            "lower them"
        )
    if layer < bottom or layer >= layers - top:
        return 1.0
    return transition if layer < bottom + above or layer >= layers - top - below else 0.0
