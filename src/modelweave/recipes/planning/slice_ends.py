"""What stands outside a stack that slices cut: whether it goes with the first slice or with the last."""

from __future__ import annotations

from collections.abc import Iterable

from ...checkpoints.layers import comes_before_layers

_SENSES = ("vision", "visual", "image", "audio", "speech", "video")
_JOINTS = (
    "projector", "connector", "merger", "multi_modal", "multimodal", "resampler", "perceiver", "qformer", "query_tokens", "aligner",
    "language_projection",
)  # fmt: skip
_EARLY = ("feature_extractor", "feature_projection")


def goes_first(name: str, cut: str, stacks: Iterable[str]) -> bool:
    """Whether a tensor goes with the first slice. cut: the stack that is cut. stacks: all that the recipe cuts or leaves there.

    Towers stay whole: those of other senses feed a language model and go first, as does what joins them to it; any other goes last.
    For the rest the name says whether it is used before the layers.

    >>> stacks = ["text_model.layers", "vision_model.layers"]
    >>> [goes_first(name, stacks[0], stacks) for name in ("vision_model.norm.bias", "text_model.norm.bias", "projector.bias")]
    [True, False, True]
    """
    words = cut.split(".")
    others = [stack.split(".") for stack in stacks if stack != cut]
    shared = min(max((_in_common(words, other) for other in others), default=0), len(words) - 1)
    around = ".".join([*words[:shared], ""])
    part = _part(name, around)
    if shared < len(words) - 1 and part == words[shared] and name.startswith(around):
        return comes_before_layers(name)
    towers = {_part(".".join(other), around) for other in others}
    has_senses = any(_has(tower, _SENSES) for tower in towers)
    if has_senses and _has(part, _SENSES + _JOINTS):
        return True
    return _has(part, _EARLY) or comes_before_layers(part if part in towers else name)


def _part(name: str, around: str) -> str:
    """The first word of a name after what the stacks have in common."""
    return name.removeprefix(around).partition(".")[0]


def _in_common(one: list[str], two: list[str]) -> int:
    count = 0
    while count < min(len(one), len(two)) and one[count] == two[count]:
        count += 1
    return count


def _has(word: str, marks: Iterable[str]) -> bool:
    return any(mark in word for mark in marks)
