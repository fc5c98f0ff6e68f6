"""Which tensors a recipe puts out, and which tensor of each source goes into each: names only, no values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...checkpoints.layers import LayerPlace, Layout, main_stack, module_prefix
from ...errors import CompatibilityError
from ..language.regions import Block, Region
from .layer_config import declared_layers
from .slice_ends import goes_first
from .views import View

_HEADS = ("lm_head.", "proj_out.", "embed_out.")
_DECODERS = ("decoder", "language_model", "text_model", "llm", "model")


@dataclass(frozen=True)
class Output:
    """One output tensor. names: of the tensor in each source of the block. t: depth in the block, 0 to 1, for gradients."""

    name: str
    region: Region | None
    block: Block | None
    names: tuple[str, ...] = ()
    stack: str | None = None
    layer: int | None = None
    layers: int | None = None
    t: float = 0.0


@dataclass(frozen=True)
class Territory:
    """A region with the prefix of its tensors, and for slices the stack that they cut."""

    region: Region
    prefix: str
    stack: str | None


def territories_of(regions: Sequence[Region], views: Mapping[str, View], donor: View) -> tuple[Territory, ...]:
    """The regions with their tensors' prefixes; CompatibilityError for a module that no tensor belongs to."""
    found = []
    for region in regions:
        names = [name for view in (donor, *views.values()) for name in view.checkpoint]
        prefix = "" if region.name is None else module_prefix(region.name, names)
        if prefix is None:
            known = ", ".join(donor.layout.stacks) or "none"
            raise CompatibilityError(f"{region.where}: no tensor name holds '{region.name}'; stacks of layers in '{donor.label}': {known}")
        found.append(Territory(region, prefix, _stack_of(region, prefix, donor) if region.stacked else None))
    _check_disjoint(found)
    return tuple(found)


def _check_disjoint(territories: Sequence[Territory]) -> None:
    for index, territory in enumerate(territories):
        same = next((t for t in territories[:index] if t.prefix == territory.prefix), None)
        if territory.stack is not None and same is None:
            owner = covering(f"{territory.stack}.0.", territories)
            same = owner if owner is not territory else None
        if same is not None:
            raise CompatibilityError(f"{territory.region.where} and {same.region.where} mean the same tensors; keep one")


def _stack_of(region: Region, prefix: str, donor: View) -> str:
    if not prefix:
        return main_stack(donor.layout, declared_layers(donor.checkpoint.config), donor.label)
    inside = {stack: count for stack, count in donor.layout.stacks.items() if f"{stack}.".startswith(prefix)}
    return main_stack(Layout(inside, {}), None, donor.label)


def covering(name: str, territories: Sequence[Territory]) -> Territory | None:
    """The territory of a tensor: the one with the longest prefix of its name. An output head goes with the decoder."""
    fitting = [territory for territory in territories if name.startswith(territory.prefix)]
    if not fitting and name.startswith(_HEADS):
        return next((t for t in territories if t.prefix.rstrip(".").rpartition(".")[2] in _DECODERS), None)
    return max(fitting, key=lambda territory: len(territory.prefix), default=None)


def outputs_of(territories: Sequence[Territory], views: Mapping[str, View], donor: View) -> list[Output]:
    """All outputs in writing order: that of the donor's names, layers by number."""
    found = [output for territory in territories for output in _outputs(territory, territories, views, donor)]
    if territories[0].prefix or len(territories) > 1:
        for name in donor.checkpoint:
            if covering(name, territories) is None:
                found.append(Output(name, None, None))
    return sorted(found, key=_writing_order(donor))


def _outputs(territory: Territory, all_: Sequence[Territory], views: Mapping[str, View], donor: View) -> Iterator[Output]:
    blocks = territory.region.blocks
    if territory.stack is None:
        check_equal_depth(blocks[0], views, territory.prefix)
        yield from _loose(territory, blocks[0], _names(blocks[0], territory, all_, views, donor), views)
        return
    before, after = (_names(block, territory, all_, views, donor) for block in (blocks[0], blocks[-1]))
    yield from _loose(territory, blocks[0], [n for n in before if with_first_slice(n, territory, donor)], views)
    yield from _stacked(territory, views)
    yield from _loose(territory, blocks[-1], [n for n in after if not with_first_slice(n, territory, donor)], views)


def with_first_slice(name: str, territory: Territory, donor: View) -> bool:
    """Whether a tensor outside the stack that is cut comes from the first slice's models, and not from the last one's."""
    return goes_first(name, territory.stack or "", [s for s in donor.layout.stacks if f"{s}.".startswith(territory.prefix)])


def _names(block: Block, territory: Territory, all_: Sequence[Territory], views: Mapping[str, View], donor: View) -> list[str]:
    """The names of a block's tensors outside the cut stack, the donor's first.

    In slices the donor's count although the block lacks them, but for constants: the result's config asks for them.
    """
    holders = [views[source.label] for source in block.sources]
    ordered = dict.fromkeys(name for view in (donor, *holders) for name in view.checkpoint)
    found = []
    for name in ordered:
        wanted = territory.stack is not None and name in donor.checkpoint and not donor.is_buffer(name)
        if covering(name, all_) is not territory or (not wanted and all(view.stored(name) is None for view in holders)):
            continue
        place = next((view.layout.places[name] for view in (*holders, donor) if name in view.layout.places), None)
        extra = place is None and territory.stack is not None and name.startswith(f"{territory.stack}.")
        if territory.stack is None or ((place is None or place.stack != territory.stack) and not extra):
            found.append(name)
    return found


def _loose(territory: Territory, block: Block, names: Sequence[str], views: Mapping[str, View]) -> Iterator[Output]:
    """Outputs that keep their name. In slices only the cut stack has depth; elsewhere every stack has its own."""
    holders = [views[source.label] for source in block.sources]
    for name in names:
        same = (name,) * len(holders)
        place = next((view.layout.places[name] for view in holders if name in view.layout.places), None)
        if place is None or territory.stack is not None:
            yield Output(name, territory.region, block, same)
            continue
        count = max(view.layout.stacks.get(place.stack, 0) for view in holders)
        yield Output(name, territory.region, block, same, place.stack, place.layer, count, _depth(place.layer, count))


def _stacked(territory: Territory, views: Mapping[str, View]) -> Iterator[Output]:
    stack = territory.stack or ""
    blocks = territory.region.blocks
    total = sum(block.count or 0 for block in blocks)
    number = 0
    for block in blocks:
        holders = [views[source.label] for source in block.sources]
        _check_ranges(block, holders, stack)
        for offset in range(block.count or 0):
            layers = [source.first + offset for source in block.sources]
            rests = dict.fromkeys(
                view.layout.places[name].rest
                for view, layer in zip(holders, layers, strict=True)
                for name in view.layers.get((stack, layer), ())
            )
            for rest in rests:
                names = tuple(LayerPlace(stack, layer, rest).name for layer in layers)
                out = LayerPlace(stack, number, rest).name
                t = _depth(offset, block.count or 0)
                yield Output(out, territory.region, block, names, stack, number, total, t)
            number += 1


def first_layers_moved(territories: Sequence[Territory], donor: View) -> list[str]:
    """A warning where the first layer is made in another way than all others, and the stack does not begin with it or repeats it."""
    found = []
    for territory in territories:
        stack = territory.stack
        if stack is None or donor.layout.stacks[stack] < 3:
            continue
        rests = [{donor.layout.places[name].rest for name in donor.layers[stack, n]} for n in range(donor.layout.stacks[stack])]
        blocks = territory.region.blocks
        starts = [sum(block.count or 0 for block in blocks[:n]) for n in range(len(blocks))]
        moved = any((source.first == 0) != (start == 0) for block, start in zip(blocks, starts, strict=True) for source in block.sources)
        if moved and rests[0] != rests[1] and all(rest == rests[1] for rest in rests[2:]):
            found.append(
                f"{stack}.0 of '{donor.label}' differs from the layers after it ({min(rests[0] ^ rests[1])}), and the stack does not keep "
                "it first and alone; check the result"
            )
    return found


def _depth(layer: int, count: int) -> float:
    # mergekit puts the only layer of a block at the end of the gradient
    return layer / (count - 1) if count > 1 else 1.0


def _check_ranges(block: Block, holders: Sequence[View], stack: str) -> None:
    for source, view in zip(block.sources, holders, strict=True):
        held = view.layout.stacks.get(stack)
        if held is None:
            seen = ", ".join(view.layout.stacks) or "no numbered layers"
            raise CompatibilityError(f"{source.where}: expected layers '{stack}.N' in model '{source.label}', it has {seen}")
        end = source.first + (block.count or 0)
        if end > held:
            raise CompatibilityError(
                f"{source.where}: layer_range [{source.first}, {end}] goes past the end, model '{source.label}' has {held} layers"
            )


def check_equal_depth(block: Block, views: Mapping[str, View], prefix: str = "") -> None:
    """Raise CompatibilityError when two sources of a block have a stack of different height."""
    for source in block.sources[1:]:
        first, other = views[block.sources[0].label], views[source.label]
        for stack, count in first.layout.stacks.items():
            held = other.layout.stacks.get(stack, count)
            if held != count and f"{stack}.".startswith(prefix):
                raise CompatibilityError(
                    f"model '{other.label}' has {held} layers in {stack}, model '{first.label}' has {count}; "
                    "merge models of equal depth, or choose layers with slices"
                )


def _writing_order(donor: View) -> Callable[[Output], tuple[int, int, int]]:
    last = len(donor.checkpoint)
    ranks = {name: rank for rank, name in enumerate(donor.checkpoint)}
    stacks: dict[str, int] = {}
    rests: dict[tuple[str, str], int] = {}
    for name, place in donor.layout.places.items():
        stacks.setdefault(place.stack, ranks[name])
        rests.setdefault((place.stack, place.rest), ranks[name])

    def key(output: Output) -> tuple[int, int, int]:
        if output.stack is None or output.layer is None:
            return ranks.get(output.name, last), 0, 0
        rest = output.name[len(f"{output.stack}.{output.layer}.") :] if output.stack else output.name.partition(".")[2]
        return stacks.get(output.stack, last), output.layer, rests.get((output.stack, rest), last)

    return key
