"""Members from one change and their masks: in memory, or from a result that a merge has written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..catalog import method as row_of
from ..checkpoints.decode import as_torch, decode
from ..checkpoints.open import open_checkpoint
from ..checkpoints.results.manifest import recorded
from ..checkpoints.tensors import Checkpoint
from ..errors import CheckpointError, ParameterError, unknown
from .masks import STEM
from .members import prepare_masked, with_aliases

if TYPE_CHECKING:
    from torch import Tensor


class Masked(NamedTuple):
    """One change for all members and what tells them apart.

    Attributes:
        base: its state dict.
        direction: the change that all share.
        masks: by the member's label and the tensor's name, true where the change is the member's.
        rescalers: by the member's label, what its part of the change is multiplied by.
        aliases: further names of tensors, as in a model with tied weights.

    >>> import torch
    >>> w = torch.tensor([1.0, 2.0])
    >>> found = Masked({"w": torch.zeros(2)}, {"w": w}, {"a": {"w": w > 1}}, {"a": 0.5})
    >>> found.member("a")
    {'w': tensor([0., 1.])}
    """

    base: dict[str, Tensor]
    direction: dict[str, Tensor]
    masks: dict[str, dict[str, Tensor]]
    rescalers: dict[str, float]
    aliases: Mapping[str, str] = {}

    def member(self, label: str) -> dict[str, Tensor]:
        """base + rescaler * mask * direction, in the base's types; tensors without a mask are the base's."""
        if label not in self.masks:
            raise ParameterError("member: " + unknown("member", label, list(self.masks)))
        found = dict(self.base)
        for name, mask in self.masks[label].items():
            change = self.rescalers[label] * mask * self.direction[name]
            found[name] = (self.base[name].to(change.dtype) + change).to(self.base[name].dtype)
        return with_aliases(found, self.aliases)


def member_masks(models: Any, *, base: Any, method: str = "emr", **options: Any) -> Masked:
    """The masks and rescalers that a written result would have beside it, from state dicts, modules or paths, in memory.

    Args:
        models: as in `prepare`; models in a list are called models[0], models[1] and so on.
        base: their common ancestor.
        method: one that saves masks.
        options: missing, device, threads, memory and allow_nonfinite, as in `prepare`.

    Raises:
        ParameterError: for a method that saves no masks.
        CheckpointError: for models that share no tensor that is merged.

    >>> import torch
    >>> from modelweave import member_masks
    >>> found = member_masks([{"w": torch.tensor([1.0, -4.0])}, {"w": torch.tensor([2.0, 1.0])}], base={"w": torch.zeros(2)})
    >>> found.direction["w"].tolist(), found.masks["models[1]"]["w"].tolist(), found.rescalers["models[1]"]
    ([2.0, -4.0], [True, False], 1.5)
    """
    import torch

    if row_of(method).masks is None:
        raise ParameterError(f"member_masks: {method} saves no masks; take a method that does, such as emr")
    (start, direction, aliases), sink = prepare_masked(models, base=base, method=method, **options)
    if STEM not in sink.side:
        raise CheckpointError("member_masks: the models share no tensor that is merged; expected floating-point tensors")
    bits, labels = sink.side[STEM].data, json.loads(sink.metadata[STEM]["members"])
    masks = {
        label: {
            name: torch.from_numpy(_bits(bits[f"{i}.{name}"], tuple(step.shape)))
            for name, step in direction.items()
            if f"{i}.{name}" in bits
        }
        for i, label in enumerate(labels)
    }
    return Masked(start, direction, masks, dict(zip(labels, bits["rescalers"].view(np.float64).tolist(), strict=True)), aliases)


def recover(folder: str | os.PathLike[str], member: str | int, base: Any = None) -> dict[str, Tensor]:
    """A member as near as the result and its masks tell: base + rescaler * mask * (result - base) / scale.

    Tensors without a mask of the member are as in the result. A result in bfloat16 has rounded the unified change; out_dtype float32
    keeps it.

    Args:
        folder: a result of a method that saves masks, such as emr.
        member: its label, the end of it, or its number.
        base: path or state dict of the base; unless given, the one that the recipe names, looked for here and beside the folder.

    Raises:
        CheckpointError: for a folder, masks or base that do not fit.
        ParameterError: for a member that is none.
    """
    if not isinstance(folder, (str, os.PathLike)) or not (Path(folder) / f"{STEM}.safetensors").is_file():
        raise CheckpointError(
            f"recover: '{folder}' has no {STEM}.safetensors; expected the result of a method that saves masks, such as emr"
        )
    file = Path(folder) / f"{STEM}.safetensors"
    result, masks = open_checkpoint(folder), open_checkpoint(file)
    metadata = masks.metadata
    if "members" not in metadata or "rescalers" not in masks:
        raise CheckpointError(f"recover: {file.name} of '{folder}' names no members; expected the one that the merge wrote, merge again")
    number, scales = _number(member, json.loads(metadata["members"])), json.loads(metadata.get("scales", "{}"))
    factor = float(masks["rescalers"].read().view(np.float64)[number])
    ground = _base_of(result, Path(folder)) if base is None else open_checkpoint(base)
    found = {}
    for name in result:
        key = f"{number}.{name}"
        found[name] = _recovered(result, ground, masks.get(key), name, factor, float(scales.get(name, 1.0)))
    return with_aliases(found, result.aliases)


def _recovered(result: Checkpoint, base: Checkpoint, mask: Any, name: str, factor: float, scale: float) -> Tensor:
    import torch

    ref = result[name]
    merged: Tensor = as_torch(ref.read(), ref.shape, ref.dtype)
    if mask is None:
        return merged
    if name not in base or base[name].shape != ref.shape:
        got = f"{base[name].shape}" if name in base else "none"
        raise CheckpointError(f"recover: {name} of the base: expected the shape {ref.shape}, got {got}; pass the base that was merged with")
    if mask.count != (ref.count + 7) // 8:
        raise CheckpointError(f"recover: {name}: its mask has {mask.count} bytes for {ref.count} entries; merge again")
    if scale == 0:
        raise CheckpointError(f"recover: {name} was merged with scale 0, so nothing of the change is left; merge with another scale")
    start = torch.from_numpy(np.array(decode(base[name].read(), base[name].dtype))).reshape(ref.shape)
    change = (merged.to(start.dtype) - start) / scale
    found: Tensor = (start + factor * torch.from_numpy(_bits(mask.read(), ref.shape)) * change).to(merged.dtype)
    return found


def _bits(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, count=int(np.prod(shape, dtype=np.int64)), bitorder="little").astype(bool).reshape(shape)


def _number(member: str | int, labels: Sequence[str]) -> int:
    if isinstance(member, int) and -len(labels) <= member < len(labels):
        return member % len(labels)
    fitting = [i for i, label in enumerate(labels) if label == member or (isinstance(member, str) and label.endswith(f"/{member}"))]
    if len(fitting) != 1:
        raise ParameterError("recover: " + unknown("member", str(member), labels))
    return fitting[0]


def _base_of(result: Checkpoint, folder: Path) -> Checkpoint:
    recipe: Mapping[str, Any] = recorded(result).get("recipe", {})
    base = recipe.get("base_model")
    if not isinstance(base, str):
        raise CheckpointError(f"recover: the record of '{folder}' names no base; pass base")
    try:
        return open_checkpoint(base, near=folder.parent)
    except CheckpointError as error:
        raise CheckpointError(f"recover: the base of '{folder}' was not found ({error}); pass base") from error
