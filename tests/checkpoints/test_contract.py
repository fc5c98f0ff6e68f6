"""What every checkpoint declares, and what one that is computed from others has of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelweave.checkpoints.dtypes import Bytes
from modelweave.checkpoints.memory import open_mapping
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.results.manifest import recorded
from modelweave.checkpoints.tensors import Checkpoint, TensorRef
from modelweave.errors import CheckpointError


class Doubled(TensorRef):
    def __init__(self, ref: TensorRef) -> None:
        super().__init__(ref.name, ref.shape, ref.dtype)
        self.ref = ref

    def read_into(self, start: int, out: Bytes) -> None:
        self.ref.read_into(start, out)
        out.view(np.float32)[:] *= 2

    def identity(self) -> str:
        return "doubled"


class Twice(Checkpoint):
    def __init__(self, one: Checkpoint, two: Checkpoint) -> None:
        super().__init__("twice", {name: Doubled(ref) for name, ref in one.items()})
        self.one, self.two = one, two

    def parts(self) -> tuple[Checkpoint, ...]:
        return self.one, self.two


def on_disk(folder: Path, value: float) -> Checkpoint:
    folder.mkdir()
    save_file({"w": torch.full((3,), value)}, folder / "model.safetensors")
    (folder / "modelweave.json").write_text('{"seed": 1}')
    return open_checkpoint(folder)


def test_a_plain_one_has_everything_declared() -> None:
    plain = Checkpoint("x", open_mapping({"w": np.zeros(2, np.float32)}))
    assert (plain.folder, plain.warnings, dict(plain.ignored), dict(plain.metadata), plain.parts()) == (None, (), {}, {}, ())
    plain.check_unchanged()
    plain.close()
    other = Checkpoint("x", open_mapping({"w": np.zeros(3, np.float32)}))
    assert plain.fingerprint() == plain.fingerprint() != other.fingerprint()


def test_a_computed_one_asks_its_parts(tmp_path: Path) -> None:
    one, two = on_disk(tmp_path / "one", 1), on_disk(tmp_path / "two", 2)
    made = Twice(one, two)
    assert torch.equal(made["w"].to_torch(), torch.full((3,), 2.0))
    assert made.folders() == (tmp_path / "one", tmp_path / "two")
    assert [part["label"] for part in made.provenance()["parts"]] == [one.label, two.label]
    assert made.fingerprint() not in (one.fingerprint(), Twice(two, one).fingerprint())
    assert dict(recorded(one)) == {"seed": 1} and dict(recorded(made)) == {}
    made.check_unchanged()
    (tmp_path / "two" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError):
        made.check_unchanged()


def test_a_part_that_changed_changes_the_fingerprint() -> None:
    one, two, three = (open_mapping({"w": np.full(3, value, np.float32)}) for value in (1, 2, 3))
    assert Twice(one, two).fingerprint() != Twice(one, three).fingerprint()
