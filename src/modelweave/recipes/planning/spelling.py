"""One model under another's names: libraries have spelt the same tensors in different ways over the years."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...checkpoints.tensors import Checkpoint
from ...text.words import counted

_ENDINGS = ((".gamma", ".weight"), (".beta", ".bias"))
"""How the first BERT checkpoints call the parameters of a LayerNorm, and how all others do."""
_NEARLY = 0.75
"""Models of one kind with different heads, or with the constants that old files hold, still have so many names in common."""

Shapes = Mapping[str, tuple[int, ...]]


class Respelt(Checkpoint):
    """A checkpoint whose tensors go by other names; all else is its own."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str], like: str) -> None:
        self._checkpoint = checkpoint
        tensors = {names.get(name, name): ref for name, ref in checkpoint.items()}
        aliases = {names.get(alias, alias): names.get(name, name) for alias, name in checkpoint.aliases.items()}
        shared = {names.get(name, name): names.get(first, first) for name, first in checkpoint.shared.items()}
        buffers = frozenset(names.get(name, name) for name in checkpoint.buffers)
        first = next(iter(names))
        taken = counted(len(names), "tensor is", "tensors are")
        said = f"model '{checkpoint.label}': {taken} taken by the names of '{like}', as {first} for {names[first]}"
        super().__init__(
            checkpoint.label,
            tensors,
            config=checkpoint.config,
            aliases=aliases,
            shared=shared,
            buffers=buffers,
            folder=checkpoint.folder,
            metadata=checkpoint.metadata,
            warnings=(*checkpoint.warnings, said),
            ignored=checkpoint.ignored,
        )

    def parts(self) -> tuple[Checkpoint, ...]:
        return self._checkpoint.parts()

    def fingerprint(self) -> str:
        return self._checkpoint.fingerprint()

    def side_files(self) -> tuple[str, ...]:
        return self._checkpoint.side_files()

    def side_file(self, name: str) -> bytes:
        return self._checkpoint.side_file(name)

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        return self._checkpoint.provenance(hash_large=hash_large)

    def check_unchanged(self) -> None:
        self._checkpoint.check_unchanged()

    def close(self) -> None:
        self._checkpoint.close()


def respelt(checkpoint: Checkpoint, like: Checkpoint) -> Checkpoint:
    """The checkpoint under the names of `like`, or itself where they agree or are models of two kinds."""
    kinds = {(one.config or {}).get("model_type") for one in (checkpoint, like)} - {None}
    ours, theirs = ({name: ref.shape for name, ref in one.items()} for one in (checkpoint, like))
    names = spelling(ours, theirs, endings_alone=len(kinds) > 1)
    return Respelt(checkpoint, names, like.label) if names else checkpoint


def spelling(names: Shapes, like: Shapes, *, endings_alone: bool = False) -> dict[str, str]:
    """Of names that `like` does not have: what it calls them. Names come with the shapes of their tensors.

    One prefix more or less counts where it brings nearly all names that the two have apart together, with equal shapes, and no other
    does so as well. endings_alone: no prefixes.

    >>> spelling({"h.w": (2, 2), "h.gamma": (2,)}, {"model.h.w": (2, 2), "model.h.weight": (2,)})
    {'h.w': 'model.h.w', 'h.gamma': 'model.h.weight'}
    """
    strange = {name: shape for name, shape in names.items() if name not in like}
    free = {name: shape for name, shape in like.items() if name not in names}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in strange:
        for much, rest in _tails(name, endings_alone):
            other = next((word for word in _endings(rest) if word in free and _alike(strange[name], free[word])), None)
            if other is not None:
                found.setdefault((much, ""), {})[name] = other
    for other in () if endings_alone else free:
        for little, rest in _tails(other):
            name = next((word for word in _endings(rest) if word in strange and _alike(strange[word], free[other])), "")
            if little and name:
                found.setdefault(("", little), {}).setdefault(name, other)
    enough = max(2, _NEARLY * max(len(strange), len(free)))
    fitting = [
        pairs for key, pairs in found.items() if (key == ("", "") or len(pairs) >= enough) and len(set(pairs.values())) == len(pairs)
    ]
    most = max(map(len, fitting), default=0)
    best = [pairs for pairs in fitting if len(pairs) == most]
    return best[0] if len(best) == 1 else {}


def _tails(name: str, whole_alone: bool = False) -> Iterator[tuple[str, str]]:
    """The name cut in two at every dot, the empty prefix first."""
    yield "", name
    at = -1 if whole_alone else name.find(".")
    while at >= 0:
        yield name[: at + 1], name[at + 1 :]
        at = name.find(".", at + 1)


def _alike(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    """Whether shapes are equal but for the number of tokens."""
    return len(one) == len(two) and one[1:] == two[1:] and (len(one) > 1 or one == two)


def _endings(name: str) -> Iterator[str]:
    """The name, and how it ends in other spellings."""
    yield name
    for old, new in _ENDINGS:
        if name.endswith(old):
            yield name.removesuffix(old) + new
        elif name.endswith(new):
            yield name.removesuffix(new) + old
