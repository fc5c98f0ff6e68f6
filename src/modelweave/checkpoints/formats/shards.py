"""Which files of a folder are its weights, and the tensors of all of them together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import CheckpointError, UnsafeFileError
from ...text.json_text import parse_json
from ...text.words import counted
from ..places.place import WEIGHTS_FILES, Place
from ..tensors import TensorRef
from .by_ending import PICKLES, SAFETENSORS, read_weights
from .weights_file import WeightsFile

_INDEX = ".index.json"
_ONE_OF_SEVERAL = re.compile(r"-(\d+)-of-(\d+)\.[a-z]+$")
_INDEX_LIMIT = 100_000_000
_OTHER_STATE = ("adapter_model", "masks.", "optimizer", "scheduler", "rng_state", "scaler", "training_args", "random_states")


@dataclass(frozen=True)
class Weights:
    """All tensors of a folder. files: as read. ignored: entries and files that are left out, with the reason."""

    tensors: Mapping[str, TensorRef]
    files: tuple[WeightsFile, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_folder(place: Place) -> Weights:
    """The weights of a folder, from headers alone. Raises CheckpointError, UnsafeFileError."""
    chosen, unused = choose(place)
    ignored = dict.fromkeys(unused, f"it is another copy of the weights, '{chosen}' is read")
    if not chosen.endswith(_INDEX):
        found = read_weights(place.open(chosen))
        return Weights(found.tensors, (found,), found.metadata, {**found.ignored, **ignored})
    index = _weight_map(place.read(chosen, _INDEX_LIMIT), f"{place.where}: '{chosen}'")
    shards = sorted(set(index.values()))
    there = place.sizes()
    missing = [name for name in shards if name not in there] if place.lists_all else []
    if missing:
        raise CheckpointError(f"{place.where}: '{missing[0]}' is named by {chosen} but missing; copy or download the folder again")
    ignored = {name: reason for name, reason in ignored.items() if name not in shards}
    return _joined(place.where, chosen, index, _read_all(place, shards), ignored)


def choose(place: Place) -> tuple[str, list[str]]:
    """The file, or index, that holds the weights, and the other files of weights."""
    names = [name for name in place.sizes() if "/" not in name and not name.startswith(".")]
    weights = [name for name in names if _is_weights(name)]
    for name in WEIGHTS_FILES:
        if name in names:
            return name, [other for other in weights if other != name]
    for endings in (SAFETENSORS, PICKLES):
        indices = [name for name in names if name.endswith(tuple(e + _INDEX for e in endings)) and _is_weights(name[: -len(_INDEX)])]
        files = [name for name in weights if name.endswith(endings)]
        if len(indices) == 1 or (not indices and len(files) == 1):
            chosen = (indices or files)[0]
            if (part := _ONE_OF_SEVERAL.search(chosen)) and int(part[2]) > 1:
                raise CheckpointError(
                    f"{place.where}: has '{chosen}' alone, expected {int(part[2])} such files and their index; copy or download the rest"
                )
            return chosen, [other for other in weights if other != chosen]
        if files:
            shown = ", ".join((indices or files)[:8]) + (", ..." if len(indices or files) > 8 else "")
            raise CheckpointError(
                f"{place.where}: has several files of weights ({shown}), expected one or an index "
                "(model.safetensors.index.json); give the path of the one you mean"
            )
    raise CheckpointError(_no_weights(place, names))


def _is_weights(name: str) -> bool:
    return name.endswith(SAFETENSORS + PICKLES) and not name.startswith(_OTHER_STATE)


def _no_weights(place: Place, names: Sequence[str]) -> str:
    if "adapter_config.json" in names:
        return f"{place.where}: is an adapter without its base; write both as base+adapter"
    if "model_index.json" in names:
        return f"{place.where}: is a pipeline of several models; give the folder of one of them, as in .../unet"
    shown = ", ".join(names[:8]) or "nothing"
    return f"{place.where}: has no weights, expected model.safetensors, its index, or pytorch_model.bin; found {shown}"


def _weight_map(data: bytes, where: str) -> dict[str, str]:
    index = parse_json(data, where).get("weight_map")
    if not index or not isinstance(index, dict) or not all(isinstance(shard, str) for shard in index.values()):
        raise CheckpointError(f"{where}: expected weight_map, from tensor name to file name; get a fresh copy of it")
    for shard in set(index.values()):
        if shard in ("", ".", "..") or any(mark in shard for mark in ("/", "\\", "\0", ":")):
            raise UnsafeFileError(f"{where}: names the file {shard[:80]!r}, expected a plain name in the same folder; do not use it")
        if not shard.endswith(SAFETENSORS + PICKLES):
            raise CheckpointError(f"{where}: names the file {shard[:80]!r}, expected a file of weights; get a fresh copy of it")
    return index


def _read_all(place: Place, shards: Sequence[str]) -> list[WeightsFile]:
    if place.folder is not None or len(shards) < 2:
        return [read_weights(place.open(shard)) for shard in shards]
    from concurrent.futures import ThreadPoolExecutor

    # far away each header costs a round trip
    with ThreadPoolExecutor(min(8, len(shards))) as pool:
        return list(pool.map(lambda shard: read_weights(place.open(shard)), shards))


def _joined(where: str, index_name: str, index: Mapping[str, str], files: Sequence[WeightsFile], ignored: Mapping[str, str]) -> Weights:
    tensors: dict[str, TensorRef] = {}
    home: dict[str, str] = {}
    left_out = dict(ignored)
    for file in files:
        for name, ref in file.tensors.items():
            if name in tensors:
                raise CheckpointError(
                    f"{where}: tensor {name[:120]!r} is in two files, '{home[name]}' and '{file.source.name}'; get a fresh copy of them"
                )
            tensors[name], home[name] = ref, file.source.name
        left_out.update(file.ignored)
    for name, shard in index.items():
        if home.get(name) != shard and name not in left_out:
            found = f"'{home[name]}'" if name in home else "no file"
            raise CheckpointError(
                f"{where}: tensor {name[:120]!r} should be in '{shard}' by {index_name}, it is in {found}; get a fresh copy of the folder"
            )
    extra = [name for name in tensors if name not in index]
    warnings = (
        (f"{where}: {counted(len(extra), 'tensor is', 'tensors are')} not named by {index_name}, as {extra[0]!r}, but used",)
        if extra
        else ()
    )
    metadata = {key: text for file in reversed(files) for key, text in file.metadata.items()}
    return Weights(tensors, tuple(files), metadata, left_out, warnings)
