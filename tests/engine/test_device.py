"""Devices that are not there or full."""

from __future__ import annotations

import pytest
import torch

import modelweave
from modelweave.engine.device import room_on
from modelweave.errors import CompatibilityError, ParameterError


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_one_sentence(device: str) -> None:
    with pytest.raises(ParameterError, match=f"^device: .*{device}"):
        modelweave.merge([{"w": torch.ones(2)}], device=device)


def test_a_full_device_names_the_tensor_and_the_remedy() -> None:
    with (
        pytest.raises(CompatibilityError, match=r"^model\.w: does not fit the memory of cuda .*--resume.*--device cpu"),
        room_on("cuda", "model.w"),
    ):
        raise torch.cuda.OutOfMemoryError("tried to allocate")
