"""Checkpoints in memory: modules, and mappings of torch tensors or numpy arrays."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .dtypes import DTYPES, TAG_OF_TORCH, Bytes
from .formats.state_dict import name_of, state_dict_in
from .tensors import Checkpoint, TensorRef, fingerprint_of, same_places

_SAMPLE = 1 << 12


class ArrayTensor(TensorRef):
    """A torch tensor or numpy array. tensor: the original."""

    def __init__(self, name: str, tensor: Any) -> None:
        tag = _tag(name, tensor)
        super().__init__(name, tuple(int(n) for n in tensor.shape), tag)
        self.tensor = tensor
        self._lock = threading.Lock()
        self._bytes: Any = None

    @property
    def device(self) -> str:
        return "cpu" if isinstance(self.tensor, np.ndarray) else str(self.tensor.device)

    def read_into(self, start: int, out: Bytes) -> None:
        at = start * DTYPES[self.dtype].itemsize
        if at < 0 or at + out.nbytes > self.nbytes:
            raise IndexError(f"{self.name}: elements from {start} on exceed its {self.count}")
        part = self._in_order()[at : at + out.nbytes]
        out[:] = part if isinstance(part, np.ndarray) else part.cpu().numpy()

    def at_hand(self, start: int) -> Bytes | None:
        held = self._in_order()
        return held[start * DTYPES[self.dtype].itemsize :] if isinstance(held, np.ndarray) else None

    def _in_order(self) -> Any:
        with self._lock:
            if self._bytes is None:
                self._bytes = _in_order(self.tensor)
            return self._bytes


class MemoryCheckpoint(Checkpoint):
    """A module or a mapping."""

    def provenance(self, *, hash_large: bool = False) -> dict[str, Any]:
        return {"label": self.label, "kind": "memory", "fingerprint": self.fingerprint(), "files": []}

    def fingerprint(self) -> str:
        """As for any checkpoint, from names, shapes, types and the first and last values of each tensor."""
        digest = hashlib.sha256()
        for name in sorted(self):
            ref = self[name]
            size = min(ref.count, _SAMPLE)
            digest.update(ref.read(0, size).data)
            digest.update(ref.read(ref.count - size, ref.count).data)
        return fingerprint_of(self.values(), digest.hexdigest())


def open_module(module: Any, label: str = "module") -> MemoryCheckpoint:
    """The parameters and persistent buffers of an nn.Module; tied ones appear once, their other names as aliases."""
    tensors, ignored = _split(module.state_dict(keep_vars=False), label)
    aliases = _shared(tensors)
    buffers = frozenset(name for name, _ in module.named_buffers(remove_duplicate=False)) & tensors.keys()
    kept = {name: ref for name, ref in tensors.items() if name not in aliases}
    return MemoryCheckpoint(label, kept, ignored=ignored, config=_config(module), aliases=aliases, buffers=buffers)


def open_mapping(values: Mapping[Any, Any], label: str = "state dict") -> MemoryCheckpoint:
    """A state dict of torch tensors or numpy arrays; those that lie in one place are kept under each of their names.

    >>> ref = open_mapping({"w": np.arange(4, dtype=np.float32)})["w"]
    >>> ref, ref.read(1, 3).view(np.float32)
    (ArrayTensor('w', 4, F32), array([1., 2.], dtype=float32))
    """
    state, around = state_dict_in(values, label, _is_tensor)
    tensors, ignored = _split(state, label)
    if values and not tensors:
        raise CheckpointError(f"{label}: holds no tensors, expected a mapping from name to torch tensor or numpy array")
    return MemoryCheckpoint(label, tensors, ignored={**around, **ignored}, shared=_shared(tensors))


def _split(values: Mapping[Any, Any], label: str) -> tuple[dict[str, ArrayTensor], dict[str, str]]:
    tensors: dict[str, ArrayTensor] = {}
    ignored: dict[str, str] = {}
    for key, value in values.items():
        name = name_of(key, label)
        if name in tensors or name in ignored:
            raise CheckpointError(f"{label}: has two entries that are called '{name[:80]}'; rename one")
        if _is_tensor(value):
            tensors[name] = ArrayTensor(name, value)
        else:
            ignored[name] = f"it is of type {type(value).__name__}, no tensor"
    return tensors, ignored


def _shared(tensors: Mapping[str, ArrayTensor]) -> dict[str, str]:
    """Names of tensors that lie where an earlier one does, with that one's name."""
    return same_places(tensors, {name: (*_place(ref.tensor), ref.shape, ref.dtype) for name, ref in tensors.items()})


def _place(tensor: Any) -> tuple[Any, ...]:
    if isinstance(tensor, np.ndarray):
        return "cpu", tensor.__array_interface__["data"][0], tensor.strides
    return str(tensor.device), tensor.data_ptr(), tuple(tensor.stride())


def _is_tensor(value: Any) -> bool:
    return isinstance(value, np.ndarray) or _is_torch(value)


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _tag(name: str, tensor: Any) -> str:
    if not isinstance(tensor, np.ndarray) and (kind := _unusual(tensor)):
        raise CheckpointError(f"tensor '{name}' is {kind}, expected a dense tensor with data; convert it first")
    word = tensor.dtype.name if isinstance(tensor, np.ndarray) else str(tensor.dtype).removeprefix("torch.")
    if word not in TAG_OF_TORCH:
        raise CheckpointError(f"tensor '{name}' has the dtype {word}, expected one of {', '.join(TAG_OF_TORCH)}; convert it first")
    return TAG_OF_TORCH[word]


def _unusual(tensor: Any) -> str:
    """What a torch tensor is that has no plain values; empty for one that has."""
    import torch

    if torch.nn.parameter.is_lazy(tensor):
        return "not initialised yet (lazy)"
    if tensor.device.type == "meta":
        return "without data (meta)"
    if tensor.is_quantized:
        return "quantised"
    if tensor.is_nested:
        return "nested"
    if type(tensor).__module__.startswith("torch.masked"):
        return "masked"
    return "" if tensor.layout == torch.strided else str(tensor.layout).removeprefix("torch.")


def _in_order(tensor: Any) -> Any:
    """All bytes in C order: a view where the tensor has that order already, on its own device."""
    if isinstance(tensor, np.ndarray):
        native = tensor.astype(tensor.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(native).reshape(-1).view(np.uint8)
    import torch

    held = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
    return held.numpy() if held.device.type == "cpu" else held


def _config(module: Any) -> dict[str, Any] | None:
    to_dict = getattr(getattr(module, "config", None), "to_dict", None)
    found = to_dict() if callable(to_dict) else None
    return dict(found) if isinstance(found, Mapping) else None
