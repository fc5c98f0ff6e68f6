"""Any checkpoint as a folder: computed on read, whole or not at all, taken up where it was cut off, told how it was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import modelweave
from modelweave.checkpoints.computed import ComputedTensor
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.tensors import Checkpoint, TensorRef
from modelweave.engine.write_checkpoint import write_checkpoint
from modelweave.errors import CheckpointError, NonFiniteError, OutputError

RECORD = {"operation": "transpose twice", "options": {"factor": 2}}
Made = Callable[[TensorRef], Any]


class Transformed(Checkpoint):
    """Each tensor made from that of another checkpoint, when it is read."""

    def __init__(self, source: Checkpoint, make: Made, how: str = "transformed") -> None:
        self.source, self.made = source, [0]

        def counted(ref: TensorRef) -> Callable[[], Any]:
            def compute() -> Any:
                self.made[0] += 1
                return make(ref)

            return compute

        tensors = {name: ComputedTensor(name, ref.shape, ref.dtype, counted(ref), how) for name, ref in source.items()}
        super().__init__("transformed", tensors, config=source.config)

    def parts(self) -> tuple[Checkpoint, ...]:
        return (self.source,)

    def side_files(self) -> tuple[str, ...]:
        return self.source.side_files()

    def side_file(self, name: str) -> bytes:
        return self.source.side_file(name)


def doubled(ref: TensorRef) -> Any:
    return 2 * ref.to_torch()


@pytest.fixture
def source(tmp_path: Path) -> Checkpoint:
    draw = torch.Generator().manual_seed(0)
    folder = tmp_path / "source"
    folder.mkdir()
    tensors = {f"layers.{i}.w": torch.randn(700, 600, generator=draw).bfloat16() for i in range(4)}
    save_file(tensors | {"layers.0.b": torch.randn(5, generator=draw)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 4}')
    (folder / "tokenizer.json").write_text("{}")
    return open_checkpoint(folder)


def test_the_bytes_are_those_of_a_merge(source: Checkpoint, tmp_path: Path) -> None:
    result = write_checkpoint(Transformed(source, doubled), tmp_path / "made", record=RECORD, memory="4MiB", threads=2, shard_size="1MB")
    again = {"merge_method": "passthrough", "models": [{"model": str(tmp_path / "source"), "parameters": {"scale": 2}}]}
    (tmp_path / "recipe.yml").write_text(json.dumps(again))
    modelweave.merge_recipe(tmp_path / "recipe.yml", tmp_path / "merged", shard_size="1MB")
    names = sorted(path.name for path in (tmp_path / "merged").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "made").iterdir()) and len(result.tensors) == 5
    for name in set(names) - {"README.md", "modelweave.json"}:
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes()


def test_each_tensor_is_computed_once(source: Checkpoint, tmp_path: Path) -> None:
    made = Transformed(source, doubled)
    write_checkpoint(made, tmp_path / "made", record=RECORD, memory="1MiB", threads=3)
    assert made.made == [5]


def test_card_and_record_say_how(source: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(Transformed(source, doubled), tmp_path / "made", record=RECORD, made="Twice another model")
    card = (tmp_path / "made" / "README.md").read_text()
    assert "Twice another model, made with modelweave." in card and "operation: transpose twice" in card
    assert "base_model: [source]" in card and "base_model_relation" not in card
    record = json.loads((tmp_path / "made" / "modelweave.json").read_text())
    assert record["recipe"] == RECORD and [row["label"] for row in record["inputs"]] == ["source"]
    assert {row["action"] for row in record["tensors"]} == {"copied"}


def stopped_after(count: int, make: Made) -> Made:
    """A computation that is cut off after so many tensors."""
    left = [count]

    def made(ref: TensorRef) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return make(ref)

    return made


def test_a_run_that_was_cut_off_is_taken_up(source: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(Transformed(source, stopped_after(3, doubled)), tmp_path / "made", record=RECORD, threads=1)
    assert not (tmp_path / "made").exists()
    rest = Transformed(source, doubled)
    result = write_checkpoint(rest, tmp_path / "made", record=RECORD, resume=True, threads=1)
    assert 0 < rest.made[0] < 5 and "tensors were already finished" in result.notice
    for name, value in load_file(tmp_path / "made" / "model.safetensors").items():
        assert torch.equal(value, 2 * source[name].to_torch())


@pytest.mark.parametrize("change", ["record", "how", "source"])
def test_another_computation_is_not_taken_up(source: Checkpoint, tmp_path: Path, change: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(Transformed(source, stopped_after(3, doubled)), tmp_path / "made", record=RECORD, threads=1)
    if change == "source":
        save_file({name: ref.to_torch() + 1 for name, ref in source.items()}, tmp_path / "source" / "model.safetensors")
        source = open_checkpoint(tmp_path / "source")
    record, how = ({"operation": "another"} if change == "record" else RECORD), ("another" if change == "how" else "transformed")
    with pytest.raises(OutputError, match="cannot be resumed"):
        write_checkpoint(Transformed(source, doubled, how), tmp_path / "made", record=record, resume=True)


def test_what_is_there_already_is_found(source: Checkpoint, tmp_path: Path) -> None:
    first = write_checkpoint(Transformed(source, doubled), tmp_path / "made", record=RECORD)
    rest = Transformed(source, doubled)
    again = write_checkpoint(rest, tmp_path / "made", record=RECORD, resume=True)
    assert again.notice == "complete already" and rest.made == [0]
    assert (again.folder, again.tensors, again.written) == (first.folder, first.tensors, first.written)
    with pytest.raises(OutputError, match="already exists"):
        write_checkpoint(Transformed(source, doubled), tmp_path / "made", record={"operation": "another"}, resume=True)


def test_no_input_is_written_into(source: Checkpoint, tmp_path: Path) -> None:
    for place in ("source", "source/inside"):
        with pytest.raises(OutputError, match="lies inside the input 'source'"):
            write_checkpoint(Transformed(source, doubled), tmp_path / place, record=RECORD)


def test_wrong_results_are_one_sentence(source: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError, match="of 'transformed' holds NaN or infinity"):
        write_checkpoint(Transformed(source, lambda ref: ref.to_torch() / 0), tmp_path / "made", record=RECORD)
    with pytest.raises(CheckpointError, match=r"expected \(700, 600\) of BF16 from what computes it, got \(600, 700\)"):
        write_checkpoint(Transformed(source, lambda ref: ref.to_torch().t()), tmp_path / "made", record=RECORD)
    assert not (tmp_path / "made").exists()


def test_folders_and_state_dicts_are_written_as_they_are(source: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(source, tmp_path / "copy", record={"operation": "copy"})
    for name, value in load_file(tmp_path / "copy" / "model.safetensors").items():
        assert torch.equal(value, source[name].to_torch())
    write_checkpoint(open_checkpoint({"n": torch.arange(3), "w": torch.ones(2)}), tmp_path / "state", record={"operation": "save"})
    assert load_file(tmp_path / "state" / "model.safetensors")["n"].tolist() == [0, 1, 2]
