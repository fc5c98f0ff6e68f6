"""Merging that goes on from its own result: through folders, in memory, after a kill; and what is set aside between two passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import modelweave
from modelweave import merge_recipe
from modelweave.checkpoints.results.spill import Spill
from modelweave.engine import two_pass
from modelweave.errors import CheckpointError, CompatibilityError, OutputError, ParameterError

SHAPES = {"embed_tokens.weight": (20, 8), "layers.0.weight": (16, 8), "layers.0.bias": (16,), "layers.1.weight": (8, 16), "norm": (8,)}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A base and four fine-tunes of it, with a tensor of whole numbers."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    for index, name in enumerate(("base", "a", "b", "c", "d")):
        (tmp_path / name).mkdir()
        state = {n: v + bool(index) * 0.1 * torch.randn(v.shape, generator=generator) for n, v in base.items()}
        save_file({**state, "steps": torch.tensor([index])}, tmp_path / name / "model.safetensors")
    return tmp_path


def merge(models: Path, out: str, names: list[str], *, base: str = "base", more: str = "", **options: Any) -> Any:
    listed = ", ".join(f"{{model: {name}}}" for name in names)
    recipe = models / f"{out}.yml"
    recipe.write_text(f"{{merge_method: opcm, base_model: {base}, models: [{listed}]{more}}}")
    return merge_recipe(recipe, models / out, **options)


def state(models: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(models / name / "model.safetensors")


def record(models: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((models / name / "modelweave.json").read_text())
    return found


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-6) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[n], other[n], rtol=0, atol=tolerance) for n in one)


@pytest.mark.parametrize("more", ["", ", parameters: {alpha: 0.9}", ", parameters: {projection: strict}"])
def test_one_after_another_is_as_all_at_once(models: Path, more: str) -> None:
    merge(models, "abcd", ["a", "b", "c", "d"], more=more)
    merge(models, "ab", ["a", "b"], more=more)
    merge(models, "abc", ["ab", "c"], more=more)
    result = merge(models, "step", ["abc", "d"], more=more)
    assert close(state(models, "step"), state(models, "abcd"))
    one, other = record(models, "step")["opcm"], record(models, "abcd")["opcm"]
    assert one["count"] == other["count"] == 4
    assert one["lambda"] == pytest.approx(other["lambda"], rel=1e-6) and one["norm"] == pytest.approx(other["norm"], rel=1e-6)
    assert not result.warnings
    assert {path.name for path in models.iterdir() if path.name.startswith((".", "tmp"))} == set()


def test_low_rank_changes_one_after_another(models: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    base = state(models, "base")
    for name in ("a", "b", "c"):
        low = {n: 0.1 * torch.randn(v.shape[0], 1, generator=generator) @ torch.randn(1, v.shape[-1], generator=generator)
               for n, v in base.items() if v.dim() == 2}  # fmt: skip
        save_file({n: v + low[n] if n in low else v for n, v in base.items()}, models / name / "model.safetensors")
    merge(models, "abc", ["a", "b", "c"])
    merge(models, "ab", ["a", "b"])
    merge(models, "step", ["ab", "c"])
    assert close(state(models, "step"), state(models, "abc"))


def test_a_stream_in_memory_is_as_folders(models: Path) -> None:
    stream = modelweave.Continual(models / "base")
    for name in ("a", "b", "c"):
        stream.add(models / name)
    merge(models, "abc", ["a", "b", "c"])
    assert close(stream.merged, state(models, "abc"))
    assert stream.record == pytest.approx(record(models, "abc")["opcm"], rel=1e-6)


def test_documents_of_one_file_go_on_from_each_other(models: Path) -> None:
    text = "name: ab\nmerge_method: opcm\nbase_model: base\nmodels: [{model: a}, {model: b}]\n---\n"
    text += "merge_method: opcm\nbase_model: base\nmodels: [{model: ab}, {model: c}]\n"
    (models / "both.yml").write_text(text)
    merge_recipe(models / "both.yml", models / "both")
    merge(models, "abc", ["a", "b", "c"])
    assert close(state(models, "both"), state(models, "abc"))


def test_the_state_can_be_ignored(models: Path) -> None:
    merge(models, "ab", ["a", "b"])
    merge(models, "two", ["ab", "c"], more=", parameters: {state: ignore}")
    assert record(models, "two")["opcm"]["count"] == 2
    plain = modelweave.merge([state(models, "ab"), state(models, "c")], method="opcm", base=state(models, "base"))
    assert close(state(models, "two"), plain)
    merge(models, "three", ["c", "ab"], more=", parameters: {state: ignore}")


def test_a_state_that_does_not_come_first_is_refused(models: Path) -> None:
    merge(models, "ab", ["a", "b"])
    with pytest.raises(CompatibilityError, match=r"'ab'.*list it first"):
        merge(models, "out", ["c", "ab"])
    assert not (models / "out").exists()


@pytest.mark.parametrize("broken", [[], {"count": 0, "lambda": 1, "norm": 1}, {"count": 2, "lambda": -1.0, "norm": 1}, {"count": 2}])
def test_a_damaged_state_is_refused(models: Path, broken: Any) -> None:
    merge(models, "ab", ["a", "b"])
    (models / "ab" / "modelweave.json").write_text(json.dumps({"opcm": broken}))
    with pytest.raises(CheckpointError, match="damaged, expected count, lambda and norm"):
        merge(models, "out", ["ab", "c"])


def test_another_base_is_told(models: Path) -> None:
    merge(models, "ab", ["a", "b"])
    assert not merge(models, "same", ["ab", "d"]).warnings
    result = merge(models, "other", ["ab", "d"], base="c")
    assert "off its recorded norm" in result.warnings[0]
    assert record(models, "other")["warnings"] == list(result.warnings)


def test_a_rounded_state_is_told(models: Path) -> None:
    for name in ("a", "b", "c"):
        near = {n: v + 0.01 * (state(models, name)[n] - v) if v.is_floating_point() else v for n, v in state(models, "base").items()}
        save_file(near, models / name / "model.safetensors")
    for dtype, told in (("bfloat16", True), ("float32", False)):
        merge(models, dtype, ["a", "b"], more=f", out_dtype: {dtype}")
        assert bool(merge(models, f"{dtype}_c", [dtype, "c"]).warnings) is told


def test_an_adapter_over_a_result_is_a_model_of_its_own(models: Path) -> None:
    merge(models, "ab", ["a", "b"])
    (models / "adapter").mkdir()
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["layers.0"], "base_model_name_or_path": "ab"}
    (models / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    pair = {"base_model.model.layers.0.lora_A.weight": torch.ones(1, 8), "base_model.model.layers.0.lora_B.weight": torch.ones(16, 1)}
    save_file(pair, models / "adapter" / "adapter_model.safetensors")
    merge(models, "out", ["ab+adapter", "c"])
    assert record(models, "out")["opcm"]["count"] == 2


def test_a_scaled_result_is_no_state(models: Path) -> None:
    merge(models, "half", ["a", "b"], more=", parameters: {scale: 0.5}")
    assert "opcm" not in record(models, "half")


def test_the_cost_of_an_arrival_does_not_grow(models: Path) -> None:
    counted = []
    stream = modelweave.Continual(models / "base")
    for name in ("a", "b", "c", "d", "a"):
        moved: list[int] = []
        stream.add(models / name, progress=lambda done, total, moved=moved: moved.append(done))
        counted.append(moved[-1])
    assert counted[1] == counted[2] == counted[4]


def test_threads_memory_and_spilling_do_not_change_a_bit(models: Path) -> None:
    merge(models, "one", ["a", "b", "c"], threads=1)
    merge(models, "two", ["a", "b", "c"], threads=3, memory=1 << 20)
    held = modelweave.merge([state(models, n) for n in ("a", "b", "c")], method="opcm", base=state(models, "base"))
    for name, value in state(models, "one").items():
        assert torch.equal(value, state(models, "two")[name]) and torch.equal(value, held[name])


@pytest.mark.parametrize("stage", ["first", "second"])
def test_a_run_that_ends_early_leaves_nothing_and_is_taken_up(models: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    whole = two_pass.store_direction if stage == "second" else two_pass.Spill.room

    def failing(*given: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return whole(*given, **options)

    with monkeypatch.context() as patched:
        if stage == "second":
            patched.setattr(two_pass, "store_direction", failing)
        else:
            patched.setattr(two_pass.Spill, "room", failing)
        with pytest.raises(KeyboardInterrupt):
            merge(models, "out", ["a", "b"], threads=1)
    assert not (models / "out").exists()
    result = merge(models, "out", ["a", "b"], resume=True)
    assert result.notice.startswith("resumed: ")
    merge(models, "fresh", ["a", "b"])
    assert (models / "out" / "model.safetensors").read_bytes() == (models / "fresh" / "model.safetensors").read_bytes()
    assert record(models, "out")["opcm"] == record(models, "fresh")["opcm"]


def test_only_some_tensors_by_opcm(models: Path) -> None:
    """Norms are over what the method merges; the rest is merged as the recipe says."""
    text = "merge_method: linear\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"
    (models / "mixed.yml").write_text(text + "overrides: [{filter: layers, merge_method: opcm}]\n")
    merge_recipe(models / "mixed.yml", models / "mixed")
    base, a, b, found = (state(models, name) for name in ("base", "a", "b", "mixed"))
    assert torch.allclose(found["norm"], (a["norm"] + b["norm"]) / 2, atol=1e-6)
    inside = [n for n in base if "layers" in n]
    norms = [sum(float((m[n] - base[n]).square().sum()) for n in inside) ** 0.5 for m in (a, b, found)]
    assert norms[2] == pytest.approx((norms[0] + norms[1]) / 2, rel=1e-5)


def test_methods_without_a_state_are_refused_for_a_stream() -> None:
    with pytest.raises(ParameterError, match="ties cannot go on from its own result"):
        modelweave.Continual({"w": np.zeros(2)}, method="ties")
    with pytest.raises(ParameterError, match="leave scale out"):
        modelweave.Continual({"w": np.zeros(2)}, scale=0.5)


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_set_aside_comes_back(tmp_path: Path, on_disk: bool) -> None:
    with Spill([("a", (3, 2), "F32"), ("b", (2,), "F64"), ("e", (0, 4), "F32")], tmp_path if on_disk else None) as spill:
        b, a = np.array([1.5, 2.5]), np.arange(6, dtype=np.float32)
        spill.write("b", 0, b.view(np.uint8))
        spill.write("a", 2, a[2:].view(np.uint8))
        spill.write("a", 0, a[:2].view(np.uint8))
        assert spill.ref("a").read().view(np.float32).tolist() == a.tolist()
        assert spill.ref("b").read(1, 2).view(np.float64).tolist() == [2.5]
        assert not list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="make room"), Spill([("a", (1 << 60,), "F32")], tmp_path):
        pass
