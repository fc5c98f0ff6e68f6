"""Merging from Python: in which forms models and values come, and what is said of those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import modelweave
from modelweave.errors import ModelweaveError, ModelweaveWarning

from ..tied import Tied


def state(value: float, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2,), value, dtype=dtype)}


@pytest.mark.parametrize(
    ("models", "got"),
    [
        (None, "None"),
        ("a", "'a'"),
        (3, "3"),
        (b"a", "b'a'"),
        (torch.nn.Linear(2, 2), "one model"),
        (torch.nn.Sequential(torch.nn.Linear(2, 2)), "one model"),
        (state(1), "one model"),
        (modelweave.open_checkpoint(state(1)), "one model"),
    ],
)
def test_what_is_no_list_of_models(models: Any, got: str) -> None:
    with pytest.raises(ModelweaveError, match=f"merge: expected a list of models or a dict from name to model, got {got}"):
        modelweave.merge(models)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"method": None}, "unknown method 'None'"),
        ({"method": 3}, "unknown method '3'"),
        ({"device": None}, "device: expected cpu, cuda or cuda:N, got 'None'"),
        ({"device": 0}, "device: expected cpu, cuda or cuda:N, got '0'"),
        ({"device": torch.device("meta")}, "device: expected cpu, cuda or cuda:N, got 'meta'"),
        ({"threads": "2"}, "threads: expected a whole number from 1 on, got '2'"),
        ({"threads": 1.5}, "threads: expected a whole number from 1 on, got 1.5"),
        ({"memory": None}, "memory: expected a size"),
        ({"after": 3}, "after"),
        ({"weight": 10**400}, "weight must be a number"),
        ({"weight": np.ones((3, 2))}, "weight has 3 values for 2 models"),
        ({"weight": 1 + 2j}, "weight: expected a value"),
        ({"out": 3}, "out: expected the path of a folder, got 3"),
        ({"out": b"x"}, "out: expected the path of a folder, got b'x'"),
        ({"out": "x\0y"}, "out: expected the path of a folder"),
        ({"dtype": torch.int8}, "unknown dtype 'int8'"),
        ({"seed": -1}, "seed: expected a whole number from 0 on, got -1"),
        ({"seed": "x"}, "seed: expected a whole number from 0 on, got 'x'"),
        ({"base": {"w": torch.zeros(2)}}, "linear takes a base for a model like all others; list it among the models"),
    ],
)
def test_values_that_do_not_fit_are_one_sentence(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ModelweaveError, match=part):
        modelweave.merge([state(1), state(3)], **options)


@pytest.mark.parametrize(
    "weight",
    [[3, 1], (3, 1), np.array([3, 1]), torch.tensor([3.0, 1.0]), {"models[0]": np.float32(3), "models[1]": torch.tensor(1.0)}],
)
def test_weights_come_in_every_form(weight: Any) -> None:
    assert modelweave.merge([state(1), state(3)], weight=weight)["w"].tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    "values",
    [[[1, 0], [1, 0]], np.array([[1, 0], [1, 0]]), torch.tensor([[1, 0], [1, 0]]), [np.array([1.0, 0.0]), torch.tensor([1.0, 0.0])]],
)
def test_gradients_come_in_every_form(values: Any) -> None:
    models = [{f"layers.{i}.w": torch.full((2,), float(v)) for i in range(2)} for v in (1, 3)]
    found = modelweave.merge(models, method="task_arithmetic", base={name: 0 * v for name, v in models[0].items()}, weight=values)
    assert [found[f"layers.{i}.w"].tolist() for i in range(2)] == [[4, 4], [0, 0]]


def test_numbers_of_other_libraries_are_taken_everywhere() -> None:
    models, base = [state(1), state(3)], state(0)
    options: dict[str, Any] = {"memory": np.int64(1 << 30), "threads": np.int64(1), "device": torch.device("cpu")}
    found = modelweave.merge(models, method="ties", base=base, density=np.float32(1), normalize=np.bool_(False), **options)
    step = {"lines": {"alpha": np.float32(0.5), "beta": np.float32(0.25)}}
    assert found["w"].tolist() == [4, 4]
    same = {"lines": {"alpha": 0.5, "beta": 0.25}}
    stepped = [modelweave.merge(models, method="ties", base=base, after=[one])["w"].tolist() for one in (step, same)]
    assert stepped[0] == stepped[1] == [1, 1]
    assert modelweave.merge(models, memory="9" * 40)["w"].tolist() == [2, 2]


def test_a_base_among_the_models_is_one_model(tmp_path: Path) -> None:
    for name, value in (("base", 1.0), ("a", 3.0)):
        save_file(state(value), tmp_path / f"{name}.safetensors")
    paths = [str(tmp_path / f"{name}.safetensors") for name in ("base", "a")]
    (tmp_path / "r.yml").write_text(f"merge_method: ties\nbase_model: {paths[0]}\nmodels: [{paths[0]}, {paths[1]}]\n")
    modelweave.merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    expected = modelweave.open_checkpoint(tmp_path / "out")["w"].to_torch()
    for base in (paths[0], Path(paths[0])):
        assert torch.equal(modelweave.merge(paths, method="ties", base=base)["w"], expected)
    states = [state(1), state(3)]
    assert torch.equal(modelweave.merge(states, method="ties", base=states[0])["w"], expected)


@pytest.mark.filterwarnings("ignore:the inputs have different types")
def test_a_sweep_gives_the_types_of_a_merge() -> None:
    models, base = [state(1, torch.float16), state(3)], state(0, torch.bfloat16)
    merged = modelweave.merge(models, method="task_arithmetic", base=base)
    found = modelweave.prepare(models, method="task_arithmetic", base=base).at(1.0)
    assert found["w"].dtype == merged["w"].dtype == torch.float32 and torch.equal(found["w"], merged["w"])


def test_tied_weights_keep_all_their_names(tmp_path: Path) -> None:
    found = modelweave.member_masks([Tied(1), Tied(2)], base=Tied(0)).member("models[0]")
    Tied(9).load_state_dict(found)
    assert torch.equal(found["head.weight"], found["embed.weight"])


@pytest.mark.parametrize("folder", [None, 3, b"x", "none"])
def test_recover_needs_a_folder(folder: Any) -> None:
    with pytest.raises(ModelweaveError, match=r"has no masks\.safetensors; expected the result of a method that saves masks"):
        modelweave.recover(folder, 0)


def test_values_by_name_or_number_of_a_model() -> None:
    for models, weight in (
        ({0: state(1), 1: state(5)}, {0: 1, 1: 3}),
        ([state(1), state(5)], {0: 1, 1: 3}),
        ([state(1), state(5)], {"models[0]": 1, "models[1]": 3}),
        ({"value": state(1), "filter": state(5)}, {"value": 1, "filter": 3}),
    ):
        assert modelweave.merge(models, weight=weight)["w"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("models", "options", "part"),
    [
        ([state(1), state(2, torch.float64)], {}, "the inputs have different types"),
        ([state(1), state(2)], {"weight": [{"filter": "nothing", "value": 5}, {"value": 1}]}, "filter 'nothing' matches no tensor"),
    ],
)
def test_what_a_user_should_know_is_warned_of(models: Any, options: dict[str, Any], part: str, tmp_path: Path) -> None:
    for more in ({}, {"out": tmp_path / "out"}):
        with pytest.warns(ModelweaveWarning, match=part) as caught:
            modelweave.merge(models, **options, **more)
        assert caught[0].filename == __file__


def test_tied_weights_in_state_dicts_and_torch_files_stay_tied(tmp_path: Path) -> None:
    base, tuned = Tied(0), Tied(1)
    expected = modelweave.merge([tuned], method="dare_linear", base=base, density=0.5)["head.weight"]
    assert not torch.equal(expected, tuned.head.weight)
    torch.save(base.state_dict(), tmp_path / "base.pt")
    torch.save(tuned.state_dict(), tmp_path / "tuned.pt")
    for start in (base, base.state_dict(), tmp_path / "base.pt"):
        for member in (tuned, tuned.state_dict(), tmp_path / "tuned.pt"):
            found = modelweave.merge([member], method="dare_linear", base=start, density=0.5)
            assert torch.equal(found["embed.weight"], expected) and torch.equal(found["head.weight"], expected)
    assert set(modelweave.Continual(base).add(tuned.state_dict())) == {"embed.weight", "head.weight"}


def test_a_tie_of_one_input_alone_is_told() -> None:
    zero, other = torch.zeros(2), {"a": torch.ones(2), "b": torch.ones(2) * 2}
    tied, apart = {"a": zero, "b": zero}, {"a": zero, "b": zero.clone()}
    with pytest.warns(ModelweaveWarning, match="the result stores b on its own, as 'models.0.' does and 'base' does not"):
        found = modelweave.merge([other], method="task_arithmetic", base=tied)
    assert found["a"].tolist() == [1, 1] and found["b"].tolist() == [2, 2]
    with pytest.warns(ModelweaveWarning, match="model 'models.0.' ties b to a, the result keeps them apart"):
        modelweave.merge([tied], method="task_arithmetic", base=apart)


def test_a_tie_counts_whichever_of_its_names_comes_first() -> None:
    base, tuned = Tied(0), Tied(1)
    turned = {"head.weight": tuned.embed.weight.detach(), "embed.weight": tuned.embed.weight.detach()}
    expected = (base.embed.weight + tuned.embed.weight) / 2
    for models in ([base, turned], [turned, base], [base.state_dict(), turned], [turned, base.state_dict()]):
        found = modelweave.merge(models)
        assert torch.allclose(found["embed.weight"], expected) and torch.equal(found["head.weight"], found["embed.weight"])


def test_a_written_merge_returns_what_became_of_it(tmp_path: Path) -> None:
    result = modelweave.merge([state(1.0), state(3.0)], out=tmp_path / "out")
    assert result.folder == tmp_path / "out" and [(t.name, t.action) for t in result.tensors] == [("w", "linear")]
    assert repr(result).startswith(f"MergeResult('{tmp_path / 'out'}', 1 tensors, ") and "\n" not in repr(result)
    assert len(str(result)) < 100 + len(str(tmp_path))
