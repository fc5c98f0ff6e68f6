"""Which stages a network has: from specs as data, or from how it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import CompatibilityError
from .chain import chained
from .modes import evaluating
from .stages import Shape, Stages, declared, sequential
from .unet import is_unet, unet


@dataclass(frozen=True)
class NetworkLayout:
    """Where the parts of a network stand. Names are those of submodules, or of parameters.

    Attributes:
        blocks: lists of blocks (ModuleList or Sequential), or single blocks, in the order in which they are called.
        before: what is used before the first block.
        after: what is used behind the last one. Of what a network has in no list, all that stands outside of its base model (a head) is
            after.
        shape: of the hidden tensor behind each block; a text with a dot is looked up in the network.

    >>> LAYOUTS["gpt2"].blocks
    ('h',)
    """

    blocks: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    shape: Shape = ()


_TOKENS: Shape = ("batch", "tokens", "config.hidden_size")
LAYOUTS = {
    "llama": NetworkLayout(("layers",), ("embed_tokens", "rotary_emb"), ("norm",), _TOKENS),
    "vit": NetworkLayout(("layers",), ("embeddings",), ("layernorm", "pooler"), _TOKENS),
    "vit, older": NetworkLayout(("encoder.layer",), ("embeddings",), ("layernorm", "pooler"), _TOKENS),
    "bert": NetworkLayout(("encoder.layer",), ("embeddings",), ("pooler",), _TOKENS),
    "gpt2": NetworkLayout(("h",), ("wte", "wpe"), ("ln_f",), _TOKENS),
}
"""Of base models of transformers: the layout of Llama, Mistral, Qwen and others; of ViT and DeiT; of BERT, RoBERTa and others; of GPT-2."""


def stages_of(network: nn.Module, *, layout: NetworkLayout | None = None, example: Any = None) -> Stages:
    """The stages of a network; run one after the other they give what the network gives.

    Known are sequential networks (a stage a child), the Hugging Face layouts of `LAYOUTS` (a stage before the blocks, one a block, one
    after) and diffusers' UNets (a stage a layer). Of another network the lists of blocks of one class are taken for the blocks;
    what is used before and after them shows when it is run on the example.

    Args:
        network: any module.
        layout: where the parts stand, for a network that is none of these.
        example: inputs of the network: a tensor, a tuple of several, or a dictionary. With it shapes are declared and checked.

    Raises:
        CompatibilityError: a network without blocks, or one that does more between two blocks than to hand a tensor on.

    >>> import torch
    >>> stages = stages_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), example=torch.ones(5, 2))
    >>> [(stage.name, stage.shape) for stage in stages]
    [('0', ('batch', 3)), ('1', ('batch', 3))]
    """
    given, named = _inputs(example)
    if layout is None and is_unet(network):
        stages = unet(network)
    elif layout is None and isinstance(network, nn.Sequential):
        stages = sequential(network)
    else:
        stages = _specified(network, layout or _layout(network) or _inferred(network, example))
    if example is not None:
        stages = declared(stages, *given, **named)
        stages.check(*given, **named)
    return stages


def _inputs(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, dict):
        return (), example
    return (example if isinstance(example, tuple) else (example,)), {}


def _specified(network: nn.Module, layout: NetworkLayout) -> Stages:
    blocks = [name for entry in layout.blocks for name in _items(network, entry)]
    shape = tuple(_looked_up(network, size) if isinstance(size, str) and "." in size else size for size in layout.shape)
    return chained(network, blocks, layout.before, layout.after, shape)


def _items(network: nn.Module, name: str) -> list[str]:
    """The blocks of a list, or the one block of that name."""
    try:
        module = network.get_submodule(name)
    except AttributeError:
        raise CompatibilityError(f"stages: the network has no module '{name}'; name one of {', '.join(_children(network))}") from None
    if isinstance(module, (nn.ModuleList, nn.Sequential)):
        return [f"{name}.{key}" for key, _ in module.named_children()]
    return [name]


def _looked_up(network: Any, path: str) -> int:
    for word in path.split("."):
        network = getattr(network, word)
    return int(network)


def _layout(network: nn.Module) -> NetworkLayout | None:
    """The layout that fits, with names from the network's root."""
    prefix = getattr(network, "base_model_prefix", "")
    prefix = f"{prefix}." if prefix and hasattr(network, prefix) else ""
    base = network.get_submodule(prefix[:-1]) if prefix else network
    if not hasattr(network, "config"):
        return None
    for layout in LAYOUTS.values():
        # the last norm tells ViT from BERT; poolers and rotary embeddings come and go
        needed = (*layout.blocks, layout.before[0], *(name for name in layout.after if name != "pooler"))
        if all(_has(base, name) for name in needed):
            outside = _children(network) if prefix else []
            after = [*(prefix + name for name in layout.after), *(name for name in outside if name + "." != prefix)]
            blocks, before = (tuple(prefix + name for name in names) for names in (layout.blocks, layout.before))
            return NetworkLayout(blocks, before, tuple(after), layout.shape)
    return None


def _has(module: nn.Module, name: str) -> bool:
    try:
        module.get_submodule(name)
    except AttributeError:
        return False
    return True


def _children(network: nn.Module) -> list[str]:
    return [name for name, _ in network.named_children()]


def _inferred(network: nn.Module, example: Any) -> NetworkLayout:
    """Lists of at least two modules of one class, the outermost ones, and what is called before and after them."""
    kind = type(network).__name__
    found = [
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.ModuleList, nn.Sequential)) and len(module) > 1 and len({type(child) for child in module}) == 1
    ]
    least = min((name.count(".") for name in found), default=0)
    lists = [name for name in found if name.count(".") == least]
    if not lists:
        raise CompatibilityError(f"stages: a {kind} has no list of blocks of one class; give a layout that names its blocks")
    if example is None:
        raise CompatibilityError(
            f"stages: what a {kind} does before and after {', '.join(lists)} is not known; give an example, or a layout"
        )
    called = _called(network, example)
    blocks = {item for name in lists for item in _items(network, name)}
    order = [name for name in called if name in blocks]
    lists = [name for name in lists if any(item.startswith(name + ".") for item in order)]
    if not lists:
        raise CompatibilityError(f"stages: a {kind} calls none of its lists of blocks; give a layout that names its blocks")
    first = called.index(order[0])
    outside = [name for name in called if name and not any(name == item or name.startswith(item + ".") for item in (*blocks, *lists))]
    outside = [name for name in outside if next(network.get_submodule(name).parameters(recurse=False), None) is not None]
    before = [name for name in outside if called.index(name) < first]
    lists.sort(key=lambda name: min(called.index(item) for item in order if item.startswith(name + ".")))
    return NetworkLayout(tuple(lists), tuple(before), tuple(name for name in outside if name not in before))


def _called(network: nn.Module, example: Any) -> list[str]:
    """Names of the modules in the order of their first call."""
    names: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: names.append(name) if name not in names else None)
        for name, module in network.named_modules()
    ]
    given, named = _inputs(example)
    try:
        with evaluating(network):
            network(*given, **named)
    finally:
        for hook in hooks:
            hook.remove()
    return names
