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
    shapes = {"a.weight": (700, 1700), "b.weight": (13,), "c.weight": (3, 5), "d": (), "e": (1, 1), "f": (1, 1, 1)}
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
    assert set(modelweave.open_checkpoint(tmp_path / "out")) == {"a.weight", "b.weight", "c.weight", "d", "e", "f"}


@pytest.mark.parametrize("threads", [1, 3])
def test_masks_do_not_hang_on_threads(tmp_path: Path, threads: int) -> None:
    from modelweave import merge_recipe

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
    assert set(modelweave.recover(tmp_path / "out", -1)) == {"a.weight", "b.weight", "c.weight", "d", "e", "f"}


@pytest.mark.parametrize(("scale", "after"), [("0.5", ""), ("-2", ""), ("1", "after: [lines]\n"), ("3", "after: [lines]\n")])
def test_a_scaled_result_gives_the_same_members(tmp_path: Path, scale: str, after: str) -> None:
    models = stored(tmp_path)
    layered = {name: {f"model.layers.{i}.w": value for i, value in enumerate(state.values())} for name, state in models.items()}
    for name, state in layered.items():
        save_file(state, tmp_path / name / "model.safetensors")
    recipe = (tmp_path / "r.yml").read_text() + f"parameters: {{scale: {scale}}}\n{after}"
    (tmp_path / "r.yml").write_text(recipe)
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    unified, masks, rescalers = reference(layered)
    for i, label in enumerate(("one", "two", "three")):
        found = modelweave.recover(tmp_path / "out", label)
        for name, base in layered["base"].items():
            assert np.allclose(found[name].numpy(), base.numpy() + rescalers[i] * masks[name][i] * unified[name], atol=2e-5)


def test_a_result_in_bfloat16_is_off_by_its_rounding_alone(tmp_path: Path) -> None:
    models = stored(tmp_path, dtype=torch.bfloat16)
    (tmp_path / "r.yml").write_text((tmp_path / "r.yml").read_text().replace("out_dtype: float32\n", ""))
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    unified, masks, rescalers = reference({name: {k: v.float() for k, v in state.items()} for name, state in models.items()})
    for i, label in enumerate(("one", "two", "three")):
        found = modelweave.recover(tmp_path / "out", label)
        for name, base in models["base"].items():
            ground = base.float().numpy()
            expected = ground + rescalers[i] * masks[name][i] * unified[name]
            bound = 2.0**-8 * (np.abs(expected) + rescalers[i] * masks[name][i] * np.abs(ground + unified[name])) + 1e-6
            assert found[name].dtype == torch.bfloat16
            assert (np.abs(found[name].float().numpy() - expected) <= bound).all()


def test_masks_of_tensors_that_some_members_lack(tmp_path: Path) -> None:
    base = {"p": torch.zeros(9), "q": torch.zeros(9)}
    one, two, three = {"q": torch.ones(9)}, {"p": torch.full((9,), 2.0), "q": -torch.ones(9)}, {"p": torch.ones(9)}
    modelweave.merge({"one": one, "two": two, "three": three}, method="emr", base=base, missing="union", out=tmp_path / "out")
    kept = load_file(tmp_path / "out" / "masks.safetensors")
    assert set(kept) == {"0.q", "1.p", "1.q", "2.p", "rescalers"}
    # unified: p = 2 of both; q = -1, since a sum of 0 elects minus. own sums: 9, 18 + 9, 9; masked: 0, 18 + 9, 18
    assert kept["rescalers"].tolist() == [1, 1, 0.5]
    assert modelweave.recover(tmp_path / "out", "three", base=base)["p"].tolist() == [1] * 9
    assert modelweave.recover(tmp_path / "out", "two", base=base)["p"].tolist() == [2] * 9
    assert modelweave.recover(tmp_path / "out", "one", base=base)["q"].tolist() == [0] * 9


def test_masks_in_memory_are_those_beside_a_result(tmp_path: Path) -> None:
    models = stored(tmp_path)
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    names = ("one", "two", "three")
    found = modelweave.member_masks({name: models[name] for name in names}, base=models["base"], threads=3)
    unified, masks, rescalers = reference(models)
    assert [found.rescalers[name] for name in names] == load_file(tmp_path / "out" / "masks.safetensors")["rescalers"].tolist()
    for i, label in enumerate(names):
        written = modelweave.recover(tmp_path / "out", label)
        for name, base in models["base"].items():
            assert np.array_equal(found.masks[label][name].numpy(), masks[name][i])
            assert np.allclose(found.direction[name].numpy(), unified[name], atol=1e-6)
            assert np.allclose(found.member(label)[name].numpy(), written[name].numpy(), atol=1e-5)
            assert np.allclose(found.member(label)[name].numpy(), base.numpy() + rescalers[i] * masks[name][i] * unified[name], atol=1e-5)


def test_identical_members_and_unchanged_ones_in_memory() -> None:
    base, model = {"w": torch.zeros(5), "n": torch.tensor([3])}, {"w": torch.tensor([1.0, -2.0, 0.0, 4.0, -1.0]), "n": torch.tensor([3])}
    same = modelweave.member_masks([model, model], base=base)
    assert same.rescalers == {"models[0]": 1.0, "models[1]": 1.0}
    assert torch.equal(same.member("models[0]")["w"], model["w"])
    still = modelweave.member_masks([dict(base), dict(base)], base=base)
    assert torch.equal(still.member("models[1]")["w"], base["w"])
    assert not still.masks["models[0]"]["w"].any()
    with pytest.raises(modelweave.ModelweaveError, match="member: unknown member 'x'"):
        same.member("x")
    with pytest.raises(modelweave.ModelweaveError, match="member_masks: ties saves no masks; take a method that does, such as emr"):
        modelweave.member_masks([model], base=base, method="ties")


def test_recover_from_a_base_or_masks_that_do_not_fit(tmp_path: Path) -> None:
    base, model = {"w": torch.zeros(5)}, {"w": torch.ones(5)}
    modelweave.merge([model], method="emr", base=base, out=tmp_path / "out")
    modelweave.merge([model], method="emr", base=base, scale=0, out=tmp_path / "none")
    for wrong, words in (
        ({"v": torch.zeros(5)}, r"w of the base: expected the shape \(5,\), got none"),
        ({"w": torch.zeros(2)}, r"got \(2,\)"),
    ):
        with pytest.raises(modelweave.ModelweaveError, match=words):
            modelweave.recover(tmp_path / "out", 0, base=wrong)
    with pytest.raises(modelweave.ModelweaveError, match=r"was not found .*; pass base"):
        modelweave.recover(tmp_path / "out", 0)
    with pytest.raises(modelweave.ModelweaveError, match="merged with scale 0, so nothing of the change is left"):
        modelweave.recover(tmp_path / "none", 0, base=base)
    save_file({"x": torch.zeros(1)}, tmp_path / "out" / "masks.safetensors")
    with pytest.raises(modelweave.ModelweaveError, match="names no members"):
        modelweave.recover(tmp_path / "out", 0, base=base)


def test_sharded_results_and_resumed_ones_have_the_same_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path)
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("modelweave.engine.merge.side_files", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(OSError, match="no space"):
            modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "parts", shard_size=1_000_000)
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "parts", shard_size=1_000_000, resume=True)
    assert (tmp_path / "parts" / "model.safetensors.index.json").is_file()
    assert (tmp_path / "parts" / "masks.safetensors").read_bytes() == (tmp_path / "whole" / "masks.safetensors").read_bytes()
    one, other = (modelweave.recover(tmp_path / folder, "two") for folder in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_full_disk_while_masks_are_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "no space")

    stored(tmp_path)
    monkeypatch.setattr("modelweave.checkpoints.results.side_tensors.write_at", full)
    with pytest.raises(modelweave.ModelweaveError, match="the disk is full; make room and run again with --resume"):
        modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
