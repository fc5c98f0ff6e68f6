"""Where functions of tensors are computed: on the CPU, or on a CUDA device.

Only they go there. What streams through a kernel once would have to cross the bus to save arithmetic that takes less time than that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import CompatibilityError, ParameterError


def check_device(device: str) -> None:
    """Raise ParameterError for a device that is not there.

    >>> check_device("cpu")
    """
    if device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device, re.ASCII):
        raise ParameterError(f"device: expected cpu, cuda or cuda:N, got {device!r}")
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(device.partition(":")[2] or 0) >= found:
        raise ParameterError(f"device: {device} is not there, torch finds {found} CUDA devices; use cpu")


def wake(device: str) -> None:
    """Let torch load what decompositions on a device need, which it must not do in several threads at once."""
    if device != "cpu":
        import torch

        torch.linalg.eigh(torch.eye(2, device=device))


@contextmanager
def room_on(device: str, name: str) -> Iterator[None]:
    """Turn a device that is full into one sentence about the tensor of that name."""
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise CompatibilityError(
            f"{name}: does not fit the memory of {device} together with what else is there; go on with --resume and fewer --threads, "
            "a smaller --memory, or --device cpu"
        ) from error
