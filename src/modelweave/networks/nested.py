"""Tensors inside tuples, lists and dictionaries, as data sets and networks hand them over."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import CompatibilityError


def mapped(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """The same structure with every tensor changed; what is no tensor stays.

    >>> mapped({"x": torch.ones(1), "name": "a"}, lambda x: 2 * x)
    {'x': tensor([2.]), 'name': 'a'}
    """
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(part, change) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(part, change) for part in value))
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(part, change) for part in value)
    return value


def moved(value: Any, device: torch.device | str | None) -> Any:
    """The same on that device; None: where it is."""
    return value if device is None else mapped(value, lambda tensor: tensor.to(device))


def joined(parts: Sequence[Any]) -> Any:
    """Outputs of batches as one: tensors along their first dimension, lists end to end.

    >>> joined([(torch.ones(1), ["a"]), (torch.zeros(2), ["b", "c"])])
    (tensor([1., 0., 0.]), ['a', 'b', 'c'])
    """
    first = parts[0]
    if isinstance(first, torch.Tensor):
        return torch.cat([part.reshape(1) if part.ndim == 0 else part for part in parts])
    if isinstance(first, Mapping):
        return {key: joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        values = [joined(list(column)) for column in zip(*parts, strict=True)]
        return type(first)(*values) if hasattr(first, "_fields") else tuple(values)
    if isinstance(first, list):
        return [entry for part in parts for entry in part]
    return list(parts)


def tensors_of(value: Any, where: str) -> Any:
    """The same structure with arrays as tensors. Raises CompatibilityError for arrays that torch has no type for."""
    if isinstance(value, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(value))
        except TypeError:
            raise CompatibilityError(f"{where}: an array of {value.dtype}, expected numbers; encode it first") from None
    if isinstance(value, Mapping):
        return {key: tensors_of(part, f"{where}[{key!r}]") for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(tensors_of(part, f"{where}[{i}]") for i, part in enumerate(value))
    return value


def digest(value: Any, into: Any = None) -> str:
    """The sha256 of values, types and shapes of whatever a batch may hold. into: a hash that is fed.

    >>> digest({"x": torch.ones(2)}) == digest({"x": np.ones(2, np.float32)})
    True
    """
    into = into or hashlib.sha256()
    if isinstance(value, torch.Tensor):
        held = value.detach().cpu().contiguous()
        into.update(f"array {str(held.dtype).removeprefix('torch.')} {tuple(held.shape)};".encode())
        into.update(held.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        into.update(f"array {value.dtype} {value.shape};".encode())
        into.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, Mapping):
        into.update(f"mapping {len(value)};".encode())
        for key in value:
            digest(str(key), into)
            digest(value[key], into)
    elif isinstance(value, (tuple, list, np.ndarray)):
        into.update(f"sequence {len(value)};".encode())
        for part in value:
            digest(part, into)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        digest({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, into)
    else:
        text = repr(value).encode("utf-8", "backslashreplace")
        into.update(f"{type(value).__name__} {len(text)};".encode() + text)
    return str(into.hexdigest())
