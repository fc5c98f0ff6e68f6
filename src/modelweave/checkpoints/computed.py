"""Tensors that are computed as a whole when they are read, for checkpoints that are made from others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..errors import CheckpointError
from .dtypes import Bytes
from .memory import ArrayTensor
from .tensors import TensorRef


class ComputedTensor(TensorRef):
    """A tensor that a function makes at the first read; it is let go once as many bytes were read as it has.

    Args:
        name: of the tensor.
        shape: of the result.
        dtype: the tag of its element type, as in "F32".
        compute: takes nothing and returns a torch tensor or NumPy array of this shape and dtype.
        how: what was done, for `identity`, which a resumed run compares.

    >>> import numpy as np
    >>> twice = ComputedTensor("w", (2,), "F32", lambda: 2 * np.ones(2, np.float32), "doubled")
    >>> twice.to_torch().tolist(), twice.identity()
    ([2.0, 2.0], 'doubled')
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str, compute: Callable[[], Any], how: str) -> None:
        super().__init__(name, shape, dtype)
        self._compute, self._how = compute, how
        self._lock = threading.Lock()
        self._held: ArrayTensor | None = None
        self._left = 0

    @property
    def held(self) -> int:
        return self.nbytes

    def identity(self) -> str:
        return self._how

    def read_into(self, start: int, out: Bytes) -> None:
        with self._lock:
            if self._held is None:
                self._held, self._left = self._made(), self.nbytes
            found = self._held
            self._left -= out.nbytes
            if self._left <= 0:
                self._held = None
        found.read_into(start, out)

    def _made(self) -> ArrayTensor:
        made = ArrayTensor(self.name, self._compute())
        if (made.shape, made.dtype) != (self.shape, self.dtype):
            raise CheckpointError(
                f"{self.name}: expected {self.shape} of {self.dtype} from what computes it, got {made.shape} of {made.dtype}; "
                "announce the shape and dtype that it has"
            )
        return made
