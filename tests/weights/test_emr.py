"""EMR: the unified change by hand, masks and rescalers beside the result, and members recovered from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import modelweave
from modelweave.cli.app import main


def stored(folder: Path, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (700, 1700), "b.weight": (13,), "c.weight": (3, 5)}
    models = {}
    for name in ("base", "one", "two", "three"):
        models[name] = {key: torch.randn(shape, generator=generator).to(dtype) for key, shape in shapes.items()}
        (folder / name).mkdir()
        save_file(models[name], folder / name / "model.safetensors")
    text = "".join(f"  - model: {folder / name}\n" for name in ("one", "two", "three"))
    (folder / "r.yml").write_text(f"merge_method: emr\nbase_model: {folder / 'base'}\nout_dtype: float32\nmodels:\n{text}")
    return models


def reference(models: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]], list[float]]:
    """Unified change, masks and rescalers, in slow steps."""
    unified, masks = {}, {}
    own, masked = np.zeros(3), np.zeros(3)
    for name, base in models["base"].items():
        deltas = [(models[m][name].double() - base.double()).numpy() for m in ("one", "two", "three")]
        flag = np.where(sum(deltas) > 0, 1.0, -1.0)
        best = np.zeros_like(flag)
        for delta in deltas:
            best = np.maximum(best, np.where(delta * flag > 0, np.abs(delta), 0))
        unified[name] = best * flag
        masks[name] = [delta * flag > 0 for delta in deltas]
        own += [np.abs(delta).sum() for delta in deltas]
        masked += [np.abs(unified[name] * mask).sum() for mask in masks[name]]
    return unified, masks, (own / masked).tolist()


def test_by_hand() -> None:
    base = {"w": torch.zeros(4)}
    members = [{"w": torch.tensor([1.0, -4.0, 0.0, 1.0])}, {"w": torch.tensor([2.0, 1.0, 0.0, -1.0])}]
    assert modelweave.merge(members, method="emr", base=base)["w"].tolist() == [2, -4, 0, -1]


def test_masks_rescalers_and_members_against_the_reference(tmp_path: Path) -> None:
    models = stored(tmp_path)
    assert main(["merge", str(tmp_path / "r.yml"), str(tmp_path / "out")]) == 0
    unified, masks, rescalers = reference(models)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    kept = load_file(tmp_path / "out" / "masks.safetensors")
    assert kept["rescalers"].tolist() == pytest.approx(rescalers, rel=1e-5)
    for name, base in models["base"].items():
        assert np.allclose(merged[name].numpy(), base.numpy() + unified[name], atol=1e-6)
        for i in range(3):
            bits = np.unpackbits(kept[f"{i}.{name}"].numpy(), count=base.numel(), bitorder="little")
            assert np.array_equal(bits.reshape(base.shape), masks[name][i])
    for i, label in enumerate(("one", "two", "three")):
        found = modelweave.recover(tmp_path / "out", label)
        for name, base in models["base"].items():
            expected = base.numpy() + rescalers[i] * masks[name][i] * unified[name]
            assert np.allclose(found[name].numpy(), expected, atol=1e-5)
            nearer = np.linalg.norm(found[name] - models[label][name]) < np.linalg.norm(merged[name] - models[label][name])
            assert nearer or base.numel() < 20


def test_the_result_is_still_an_ordinary_checkpoint(tmp_path: Path) -> None:
    stored(tmp_path)
    assert main(["merge", str(tmp_path / "r.yml"), str(tmp_path / "out")]) == 0
    assert set(modelweave.open_checkpoint(tmp_path / "out")) == {"a.weight", "b.weight", "c.weight"}


@pytest.mark.parametrize("threads", [1, 3])
def test_masks_do_not_hang_on_threads(tmp_path: Path, threads: int) -> None:
    from modelweave.engine.merge import merge_recipe

    stored(tmp_path)
    for name, count in (("x", threads), ("y", 2)):
        merge_recipe(tmp_path / "r.yml", tmp_path / name, threads=count, memory=1 << 22)
    assert (tmp_path / "x" / "masks.safetensors").read_bytes() == (tmp_path / "y" / "masks.safetensors").read_bytes()


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    stored(tmp_path)
    with pytest.raises(modelweave.ModelweaveError, match="has no masks.safetensors; expected the result of a method that saves masks"):
        modelweave.recover(tmp_path / "one", "one")
    main(["merge", str(tmp_path / "r.yml"), str(tmp_path / "out")])
    with pytest.raises(modelweave.ModelweaveError, match="recover: unknown member 'four'"):
        modelweave.recover(tmp_path / "out", "four")
    assert set(modelweave.recover(tmp_path / "out", -1)) == {"a.weight", "b.weight", "c.weight"}
