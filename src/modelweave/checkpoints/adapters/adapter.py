"""A LoRA adapter over a base: each tensor is adapted when it is read, no model is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...errors import CheckpointError
from ...text.json_text import parse_json
from ..formats.by_ending import read_weights
from ..formats.shards import Weights
from ..opened import FileCheckpoint
from ..places.place import Place
from ..tensors import Checkpoint, TensorRef, fingerprint_of
from ..ties import is_head
from .adapter_config import AdapterConfig, read_adapter_config
from .adapter_tensor import AdapterTensor, Factor, FactorCache, Replaced

READABLE = ("F64", "F32", "F16", "BF16")
"""The types that a base and its adapter may have; quantised ones need their scales."""
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.(?!weight$|bias$)[^.]+)?(\.(?P<kind>weight|bias))?")
_IN_FULL = re.compile(r"\.modules_to_save(\.default)?(?=\.)")
_UNUSED = ".original_module."
_REMEDY = "check that this is the base that the adapter was trained on"


@dataclass
class _Module:
    """The factors of one adapted module, by side, and the bias that B may have."""

    factors: dict[str, TensorRef] = field(default_factory=dict)
    bias: TensorRef | None = None
    embedding: bool = False


class AdaptedCheckpoint(Checkpoint):
    """A base with an adapter applied. Side files, buffers and folder are the base's; `warnings` tells what happens to ties."""

    def __init__(
        self,
        label: str,
        base: Checkpoint,
        adapter: FileCheckpoint,
        settings: AdapterConfig,
        tensors: Mapping[str, TensorRef],
        aliases: Mapping[str, str],
        config: dict[str, Any] | None,
        warnings: Iterable[str],
    ) -> None:
        super().__init__(
            label,
            tensors,
            config=config,
            aliases=aliases,
            buffers=base.buffers,
            folder=base.folder,
            metadata=base.metadata,
            warnings=(*base.warnings, *adapter.warnings, *warnings),
            ignored={**base.ignored, **adapter.ignored},
        )
        self.base, self.adapter, self.settings = base, adapter, settings

    def parts(self) -> tuple[Checkpoint, ...]:
        return self.base, self.adapter

    def side_files(self) -> tuple[str, ...]:
        return self.base.side_files()

    def side_file(self, name: str) -> bytes:
        return self.base.side_file(name)

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        """That of the base and of the adapter."""
        base, adapter = (part.provenance(hash_large=hash_large) for part in self.parts())
        return {"label": self.label, "base": base, "adapter": {**adapter, "settings": asdict(self.settings)}}

    def fingerprint(self) -> str:
        return fingerprint_of(self.values(), [[part.fingerprint() for part in self.parts()], asdict(self.settings)])


def apply_adapter(base: Checkpoint, place: Place, label: str, name: str) -> AdaptedCheckpoint:
    """The checkpoint base + adapter, for a LoRA adapter in PEFT's layout. name: how the user wrote the adapter.

    W + scale * B A for linear layers, Conv1D (transposed), embeddings and convolutions; biases and modules_to_save replace the base's.
    Ties of the base hold as in the adapted model: they are cut where modules_to_save or factors change one of two names alone, and
    kept where the adapter stores both names of one tensor. (PEFT's merge_and_unload adds factors that ensure_weight_tying shares twice.)
    Every tensor of the adapter must find its place. Raises CheckpointError otherwise, and for kinds other than plain LoRA.
    """
    names = place.sizes()
    if "adapter_config.json" not in names:
        raise CheckpointError(f"{place.where}: has no adapter_config.json, expected an adapter in PEFT's layout; check the path behind '+'")
    config = read_adapter_config(parse_json(place.read("adapter_config.json"), f"{place.where}: 'adapter_config.json'"), place.where)
    file = next((name for name in _FILES if name in names), None)
    if file is None:
        raise CheckpointError(f"{place.where}: has neither {' nor '.join(_FILES)}; copy or download the adapter again")
    found = read_weights(place.open(file))
    # bias="all" writes these too
    unused = {name: "the adapted model does not use this copy of a module that is saved whole" for name in found.tensors if _UNUSED in name}
    tensors = {name: ref for name, ref in found.tensors.items() if name not in unused}
    weights = Weights(tensors, (found,), found.metadata, {**found.ignored, **unused})
    adapter = FileCheckpoint(name, weights, place, place.origin())
    return _Applied(base, adapter, config, place.where).checkpoint(label)


class _Applied:
    def __init__(self, base: Checkpoint, adapter: FileCheckpoint, config: AdapterConfig, where: str) -> None:
        self.base, self.adapter, self.config, self.where = base, adapter, config, where
        self.tensors: dict[str, TensorRef] = dict(base)
        self.aliases = dict(base.aliases)
        self.cache = FactorCache()
        self.warnings: list[str] = []
        self.untied = False

    def checkpoint(self, label: str) -> AdaptedCheckpoint:
        modules, whole = _sorted_out(self.adapter, self.where)
        rename = self._renaming([*(f"{module}.weight" for module in modules), *whole])
        stored = {rename(name) for name in (*whole, *(f"{module}.weight" for module in modules))}
        for name, ref in whole.items():
            if not self._is_copy(rename(name), stored):
                self._replace(rename(name), ref, stored)
        for module, parts in modules.items():
            if not (self.config.keeps_ties and self._is_copy(rename(f"{module}.weight"), stored)):
                self._adapt(module, rename, parts)
        config = self.base.config
        if self.untied and config is not None:
            config = {**config, "tie_word_embeddings": False}
        return AdaptedCheckpoint(label, self.base, self.adapter, self.config, self.tensors, self.aliases, config, self.warnings)

    def _renaming(self, names: list[str]) -> Any:
        """How the adapter's names become the base's: as they are, or all with one prefix more or less; a head may go by another name."""
        there = {*self.base, *self.base.aliases}
        heads = [name for name in there if is_head(name)]

        def as_it_is(name: str) -> str:
            return heads[0] if len(heads) == 1 and name not in there and is_head(name) else name

        missing = [name for name in map(as_it_is, names) if name not in there]
        if not missing:
            return as_it_is
        first = missing[0]
        for prefix in sorted({name[: -len(first)] for name in there if name.endswith("." + first)}):
            if all(prefix + name in there for name in names):
                return lambda name: prefix + name
        head, dot, _ = first.partition(".")
        if all(name.startswith(head + dot) and name[len(head + dot) :] in there for name in names):
            return lambda name: name[len(head + dot) :]
        raise CheckpointError(f"{self.where}: adapts '{first}', which '{self.base.label}' does not have; {_REMEDY}")

    def _is_copy(self, name: str, stored: set[str]) -> bool:
        """Whether a stored tensor is only the second name of one that is stored too, as PEFT writes tied embeddings."""
        return self.aliases.get(name) in stored and not self.config.trains_whole(name)

    def _replace(self, name: str, ref: TensorRef, stored: set[str]) -> None:
        target = self._target(name)
        if ref.shape != target.shape:
            raise CheckpointError(self._misfit(name, target.shape, ref.shape))
        self.tensors[name] = Replaced(ref, target)
        if self.config.trains_whole(name):
            for alias in [a for a, held in self.aliases.items() if held == name and a not in stored]:
                self.tensors[alias] = self._own_tensor(alias)

    def _adapt(self, module: str, rename: Any, parts: _Module) -> None:
        weight = rename(f"{module}.weight")
        a, b = parts.factors.get("A"), parts.factors.get("B")
        if a is None or b is None:
            side = "A" if a is None else "B"
            raise CheckpointError(f"{self.where}: '{module}' lacks its factor lora_{side}; copy or download the adapter again")
        rank = self.config.rank_of(module)
        if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[0] != rank or b.shape[1] != rank or math.prod(b.shape[2:]) != 1:
            raise CheckpointError(
                f"{self.where}: '{module}' has factors {_by(a.shape)} and {_by(b.shape)}, expected rank {rank} by adapter_config.json; "
                "check r and rank_pattern"
            )
        for ref in (a, b, *([parts.bias] if parts.bias is not None else [])):
            self._number(ref, ref.name)
        target = self._target(weight)
        self._number(target, weight)
        left, right = self._factors(weight, target.shape, a, b, rank, parts.embedding)
        scale = self.config.scale_of(module)
        self.tensors[weight] = AdapterTensor(target, left, right, scale, self.cache, weight)
        if parts.bias is not None:
            self._adapt_bias(rename(f"{module}.bias"), parts.bias, scale)
        tied = [alias for alias, name in self.aliases.items() if name == weight]
        if tied:
            self.warnings.append(
                f"{self.where}: adapts '{weight}', which is also '{tied[0]}'; both change, as with PEFT's merge_and_unload"
            )

    def _adapt_bias(self, name: str, ref: TensorRef, scale: float) -> None:
        target = self._target(name)
        if ref.shape != target.shape or len(ref.shape) != 1:
            raise CheckpointError(self._misfit(name, target.shape, ref.shape))
        self._number(target, name)
        self.tensors[name] = AdapterTensor(target, Factor(ref, ref.shape[0], 1), None, scale, self.cache, name)

    def _factors(self, name: str, shape: tuple[int, ...], a: TensorRef, b: TensorRef, rank: int, embedding: bool) -> tuple[Factor, Factor]:
        """left (rows, rank) and right (rank, columns) of the product that has the target's orientation."""
        into, out = math.prod(a.shape[1:]), b.shape[0]
        plain = shape == (out, *a.shape[1:])
        turned = len(a.shape) == 2 and shape == (a.shape[1], out)
        if turned and (embedding or not plain or self._is_turned(name)):
            return Factor(a, rank, into, transposed=True), Factor(b, out, rank, transposed=True)
        if plain and not embedding:
            return Factor(b, out, rank), Factor(a, rank, into)
        raise CheckpointError(self._misfit(name, shape, (a.shape[1], out) if embedding else (out, *a.shape[1:])))

    def _is_turned(self, name: str) -> bool:
        """Whether a square matrix, which fits both ways, is stored as (in, out), as Conv1D does.

        PEFT decides that module by module and writes the last one's answer for all, so the layer's other matrices are asked first: a
        bias is as long as the side of the outputs.
        """
        layer = re.match(r"(.*\.)?\d+\.", name)
        found = set()
        for other, ref in self.base.items():
            if layer is None or not other.startswith(layer[0]) or not other.endswith(".weight"):
                continue
            bias = self.base.get(other.removesuffix("weight") + "bias")
            if bias is not None and len(bias.shape) == 1 and len(ref.shape) == 2 and ref.shape[0] != ref.shape[1]:
                found.add(bias.shape[0] == ref.shape[1])
        return found.pop() if len(found) == 1 else self.config.transposed

    def _target(self, name: str) -> TensorRef:
        """The base's tensor; a name that is only an alias gets a tensor of its own, and the tie is cut."""
        if name in self.tensors:
            return self.tensors[name]
        if name not in self.aliases:
            raise CheckpointError(f"{self.where}: adapts '{name}', which '{self.base.label}' does not have; {_REMEDY}")
        return self._own_tensor(name)

    def _own_tensor(self, alias: str) -> TensorRef:
        """The base's values under a name that shared them until now."""
        other = self.aliases.pop(alias)
        self.untied = True
        self.warnings.append(
            f"{self.where}: adapts '{alias}' and '{other}', which the base ties, in different ways; they are no longer tied"
        )
        return _Renamed(self.base[other], alias)

    def _number(self, ref: TensorRef, name: str) -> None:
        if ref.dtype not in READABLE:
            raise CheckpointError(
                f"{self.where}: '{name}' has the dtype {ref.dtype}, expected one of {', '.join(READABLE)}; dequantise the model first"
            )

    def _misfit(self, name: str, expected: tuple[int, ...], got: tuple[int, ...]) -> str:
        return f"{self.where}: '{name}' is {_by(got)} in the adapter, {_by(expected)} in '{self.base.label}'; {_REMEDY}"


class _Renamed(Replaced):
    """A tensor under another name."""

    def __init__(self, ref: TensorRef, name: str) -> None:
        super().__init__(ref, ref)
        self.name = name


def _sorted_out(adapter: Checkpoint, where: str) -> tuple[dict[str, _Module], dict[str, TensorRef]]:
    """The adapted modules, and the tensors that replace the base's, by the names inside the adapted model."""
    modules: dict[str, _Module] = {}
    whole: dict[str, TensorRef] = {}
    trained: set[str] = set()
    for name, ref in adapter.items():
        plain = name.removeprefix("base_model.model.")
        found = _FACTOR.fullmatch(plain)
        if found is None:
            if ".lora_" in plain or ".token_adapter." in plain:
                raise CheckpointError(f"{where}: its tensor '{name}' is no part of plain LORA; merge it with PEFT's merge_and_unload first")
            in_full = _IN_FULL.search(plain) is not None
            plain = _IN_FULL.sub("", plain).replace(".base_layer.", ".")
            if plain in whole and in_full == (plain in trained):
                raise CheckpointError(f"{where}: has two tensors for '{plain}'; copy or download the adapter again")
            if in_full or plain not in whole:  # bias="all" writes biases of such modules twice
                whole[plain] = ref
            if in_full:
                trained.add(plain)
            continue
        parts = modules.setdefault(found["module"], _Module())
        if found["kind"] == "bias" and found["side"] == "B":
            parts.bias = ref
        elif found["kind"] == "bias" or found["side"] in parts.factors:
            raise CheckpointError(f"{where}: does not know what its tensor '{name}' is for; copy or download the adapter again")
        else:
            parts.factors[found["side"]] = ref
            parts.embedding |= found["embedding"] is not None
    if not modules and not whole:
        raise CheckpointError(f"{where}: its adapter file holds no tensors; copy or download the adapter again")
    return modules, whole


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
