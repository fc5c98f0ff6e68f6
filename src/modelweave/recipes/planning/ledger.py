"""The account of every tensor of every input: read, passed over for a stated reason, or dropped for a stated reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .outputs import Territory, covering, with_first_slice
from .views import View


class Ledger:
    """Collects, while outputs are planned, what became of each stored tensor."""

    def __init__(self) -> None:
        self._reached: set[tuple[int, str]] = set()
        self._reasons: dict[tuple[int, str], str] = {}

    def reach(self, view: View, name: str) -> None:
        """The tensor goes into an output, or an output's reason says why it gives way to another."""
        stored = view.stored(name)
        if stored is not None:
            self._reached.add((view.index, stored))

    def drop(self, view: View, name: str, reason: str) -> None:
        """The tensor goes nowhere, unless another output reads it."""
        stored = view.stored(name)
        if stored is not None:
            self._reasons.setdefault((view.index, stored), reason)

    def dropped(self, views: Iterable[View], territories: Sequence[Territory], donor: View) -> dict[str, str]:
        """`label: name` to reason, for everything that reaches no output."""
        found = {}
        for view in views:
            for name in view.checkpoint:
                if (view.index, name) not in self._reached:
                    reason = self._reasons.get((view.index, name)) or _reason(view, name, territories, donor)
                    found[f"{view.label}: {name}"] = reason
        return found


def _reason(view: View, name: str, territories: Sequence[Territory], donor: View) -> str:
    territory = covering(name, territories)
    if territory is None:
        return f"outside the recipe's modules, taken from '{donor.label}'"
    blocks = territory.region.blocks
    if view.label not in {source.label for block in blocks for source in block.sources}:
        return "its model gives only config and tokenizer here"
    place = view.layout.places.get(name)
    if place is not None and place.stack == territory.stack:
        return f"layer {place.layer} of '{view.label}' is in no slice"
    if territory.stack is not None and name.startswith(f"{territory.stack}."):
        return "a layer beyond those that config.json counts, which a stack leaves out"
    if territory.stack is not None:
        return f"comes from the models of the {'first' if with_first_slice(name, territory, donor) else 'last'} slice"
    return f"no output of that name in '{donor.label}'"
