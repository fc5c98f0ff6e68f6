"""One model under another's names: libraries have spelt the same tensors in different ways over the years."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ..checkpoints.tensors import Checkpoint

_ENDINGS = ((".gamma", ".weight"), (".beta", ".bias"))
"""How the first BERT checkpoints call the parameters of a LayerNorm, and how all others do."""


class Respelt(Checkpoint):
    """A checkpoint whose tensors go by other names; all else is its own."""

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str], like: str) -> None:
        self._checkpoint = checkpoint
        tensors = {names.get(name, name): ref for name, ref in checkpoint.items()}
        aliases = {names.get(alias, alias): names.get(name, name) for alias, name in checkpoint.aliases.items()}
        buffers = frozenset(names.get(name, name) for name in checkpoint.buffers)
        super().__init__(checkpoint.label, tensors, config=checkpoint.config, aliases=aliases, buffers=buffers)
        first = next(iter(names))
        self.warnings: tuple[str, ...] = (
            *getattr(checkpoint, "warnings", ()),
            f"model '{checkpoint.label}': {len(names)} tensors are taken by the names of '{like}', as {first} for {names[first]}",
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoint, name)

    def side_files(self) -> tuple[str, ...]:
        return self._checkpoint.side_files()

    def side_file(self, name: str) -> bytes:
        return self._checkpoint.side_file(name)

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        return self._checkpoint.provenance(hash_large=hash_large)

    def check_unchanged(self) -> None:
        self._checkpoint.check_unchanged()


def respelt(checkpoint: Checkpoint, like: Checkpoint) -> Checkpoint:
    """The checkpoint under the names of `like`, or itself where they agree."""
    names = spelling(checkpoint, like)
    return Respelt(checkpoint, names, like.label) if names else checkpoint


def spelling(names: Collection[str], like: Collection[str]) -> dict[str, str]:
    """Of names that `like` does not have: what it calls them. A prefix more or less counts when it fits most of them, and two at least.

    >>> spelling(["h.0.w", "ln.gamma"], ["transformer.h.0.w", "transformer.ln.weight"])
    {'h.0.w': 'transformer.h.0.w', 'ln.gamma': 'transformer.ln.weight'}
    """
    there = set(like)
    free = there.difference(names)
    strange = [name for name in names if name not in there]
    for prefix, rename in _renamings(strange, free):
        pairs = {name: next((word for word in _endings(rename(name)) if word in free), None) for name in strange}
        found = {name: other for name, other in pairs.items() if other is not None}
        enough = not prefix or (len(found) > max(1, len(strange) // 2))
        if found and enough and len(set(found.values())) == len(found):
            return found
    return {}


def _renamings(strange: Sequence[str], free: Collection[str]) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Prefixes that may be missing or too much, each with the name that it makes of another; none first."""
    yield "", lambda name: name
    if not strange:
        return
    first = strange[0]
    missing = {name[: -len(word)] for word in _endings(first) for name in free if name.endswith("." + word)}
    for prefix in sorted(missing):
        yield prefix, lambda name, prefix=prefix: prefix + name  # type: ignore[misc]
    head, dot, _ = first.partition(".")
    if dot:
        yield head + dot, lambda name: name.removeprefix(head + dot)


def _endings(name: str) -> Iterator[str]:
    """The name, and how it ends in other spellings."""
    yield name
    for old, new in _ENDINGS:
        if name.endswith(old):
            yield name.removesuffix(old) + new
        elif name.endswith(new):
            yield name.removesuffix(new) + old
