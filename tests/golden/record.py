"""The golden record of today's code, written by `python -m tests.golden.record`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import modelweave

from .cases import blends, merged, merges, on_matrices

FOLDER = Path(__file__).parent
SUMS, NUMBERS = FOLDER / "sums.json", FOLDER / "matrices.npz"


def digest(state: dict[str, Any]) -> str:
    """The SHA-256 of all tensors, their names, types and shapes."""
    found = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def flat(state: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """All values, one tensor after another in the order of names."""
    return np.concatenate([tensor.double().flatten().numpy() for _, tensor in sorted(state.items())])


def write() -> None:
    """Run every case and keep sums of exact results, and the values of those that are on matrices."""
    sums: dict[str, Any] = {"merge": {}, "blend": {}}
    numbers = {}
    for name, arguments in merges():
        state = merged(arguments)
        if on_matrices(arguments):
            numbers[name] = flat(state).astype(np.float32)
        else:
            sums["merge"][name] = digest(state)
    for name, arguments in blends():
        sums["blend"][name] = json.loads(modelweave.blend(**arguments).to_json())
    SUMS.write_text(json.dumps(sums, indent=1, sort_keys=True) + "\n")
    np.savez_compressed(NUMBERS, **numbers)


if __name__ == "__main__":
    write()
