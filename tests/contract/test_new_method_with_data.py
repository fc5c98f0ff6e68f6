"""A method that reads a tensor beside each member: a part, a row and its oracle, and everything else follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import modelweave
from modelweave.catalog import METHODS
from modelweave.errors import CompatibilityError, NonFiniteError, ParameterError, RecipeError
from modelweave.row import Parameter
from modelweave.weights.method import Method
from modelweave.weights.part import Context, tensors

State = dict[str, torch.Tensor]


# the parts
@tensors("floor", sees="element", beside=("fisher",))
def fisher_mean(weights: Any, context: Context, *, floor: float) -> Any:
    """sum_i F_i x_i / sum_i F_i, entry by entry; the plain mean where a member has no F."""
    found = context.beside["fisher"]
    if any(each is None for each in found):
        return weights.mean(0)
    norms = [float(header.get("norm", 1.0)) for header in context.headers["fisher"]]
    shares = torch.stack([each.clamp(min=floor) / norm for each, norm in zip(found, norms, strict=True)])
    return (shares * weights).sum(0) / shares.sum(0)


@tensors(sees="matrix", beside=("gram",))
def regression_mean(weights: Any, context: Context) -> Any:
    """(sum_i W_i G_i) (sum_i G_i)^-1, of W (out, in) and G (in, in)."""
    grams = torch.stack(list(context.beside["gram"]))
    return torch.linalg.solve(grams.sum(0), (weights @ grams).sum(0), left=False)


@tensors(sees="element", beside=("fisher",))
def most_certain(weights: Any, context: Context) -> Any:
    """The member's value whose F is the largest, where that is above the mean F of all that it sees; else the mean."""
    found = torch.stack(list(context.beside["fisher"]))
    best = found.max(0)
    return torch.where(best.values > found.mean(), weights.gather(0, best.indices[None])[0], weights.mean(0))


# the rows
FISHER = Method(
    "toy_fisher",
    "Toy",
    "sum F x / sum F",
    "this test",
    combine=fisher_mean,
    parameters=(Parameter("floor", "float", 1e-6, above=0, help="least share"),),
)
CERTAIN = Method(
    "toy_certain",
    "Toy",
    "the most certain value",
    "this test",
    combine=most_certain,
    parameters=(
        Parameter("within", "str", "tensor", choices=("tensor", "model"), help="what is compared", sets="ranked_over"),
        Parameter("strength", "float", 1.0, help="a factor on the result", sets="scale"),
    ),
)
REGRESSION = Method("toy_regression", "Toy", "the layers' least squares", "this test", combine=regression_mean)


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in (FISHER, REGRESSION, CERTAIN):
        monkeypatch.setitem(METHODS, row.name, row)


# the oracles
MEMBERS = [{"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, -2.0])}]
SHARES = [{"w": torch.tensor([4.0, 0.0])}, {"w": torch.tensor([1.0, 1.0])}]


def test_by_hand() -> None:
    merged = modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fisher": SHARES})
    assert merged["w"].tolist() == pytest.approx([1.4, -1.999996])


def test_a_mapping_by_name_and_a_tensor_without_statistics() -> None:
    models = {"a": {**MEMBERS[0], "b": torch.zeros(1)}, "b": {**MEMBERS[1], "b": torch.ones(1)}}
    merged = modelweave.merge(models, method="toy_fisher", statistics={"fisher": {"b": SHARES[1], "a": SHARES[0]}})
    assert merged["w"].tolist() == pytest.approx([1.4, -1.999996]) and merged["b"].tolist() == [0.5]


def test_a_gram_matrix_has_a_shape_of_its_own() -> None:
    draw = torch.Generator().manual_seed(0)
    layers = [torch.randn(2, 3, generator=draw, dtype=torch.float64) for _ in range(2)]
    inputs = [torch.randn(9, 3, generator=draw, dtype=torch.float64) for _ in range(2)]
    grams = [{"w": each.T @ each} for each in inputs]
    merged = modelweave.merge([{"w": layer} for layer in layers], method="toy_regression", statistics={"gram": grams})
    outputs = torch.cat([each @ layer.T for each, layer in zip(inputs, layers, strict=True)])
    wanted = torch.linalg.lstsq(torch.cat(inputs), outputs).solution.T
    assert torch.allclose(merged["w"], wanted, atol=1e-10)


def test_settings_of_the_plan_have_any_name_and_statistics_are_joined_over_the_model() -> None:
    models = [{"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([1.0])}, {"a": torch.tensor([3.0, 3.0]), "b": torch.tensor([3.0])}]
    shares = [{"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([9.0])}, {"a": torch.tensor([2.0, 1.0]), "b": torch.tensor([4.0])}]
    apart = modelweave.merge(models, method="toy_certain", statistics={"fisher": shares})
    assert apart["a"].tolist() == [3, 2] and apart["b"].tolist() == [1]  # means 1.25 and 6.5
    merged = modelweave.merge(models, method="toy_certain", statistics={"fisher": shares}, within="model", strength=2)
    assert merged["a"].tolist() == [4, 4] and merged["b"].tolist() == [2]  # mean 3
    with pytest.raises(CompatibilityError, match="b: the fisher of 'models\\[1\\]' lacks it"):
        modelweave.merge(models, method="toy_certain", statistics={"fisher": [shares[0], {"a": shares[1]["a"]}]}, within="model")


def large(seed: int) -> State:
    draw = torch.Generator().manual_seed(seed)
    return {"layers.0.w": torch.randn(1100, 1300, generator=draw), "layers.0.b": torch.randn(7, generator=draw)}


def on_disk(folder: Path) -> dict[str, Any]:
    """Two models in bfloat16 with the squares that stand beside them, and the recipe."""
    models = []
    for i in range(2):
        save_file({name: value.bfloat16() for name, value in large(i).items()}, folder / f"m{i}.safetensors")
        save_file({name: value.square() for name, value in large(i + 5).items()}, folder / f"f{i}.safetensors", {"norm": str(i + 1)})
        models.append({"model": f"m{i}.safetensors", "statistics": {"fisher": f"f{i}.safetensors"}})
    return {"merge_method": "toy_fisher", "models": models, "dtype": "float32"}


def test_streamed_from_files_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(on_disk(tmp_path)))
    modelweave.merge_recipe(tmp_path / "recipe.yml", tmp_path / "out", memory="1MiB", threads=3)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    for name in ("layers.0.w", "layers.0.b"):
        members = [large(i)[name].bfloat16().float() for i in range(2)]
        shares = [large(i + 5)[name].square().clamp(min=1e-6) / (i + 1) for i in range(2)]
        wanted = (shares[0] * members[0] + shares[1] * members[1]) / (shares[0] + shares[1])
        assert torch.allclose(merged[name], wanted, rtol=1e-6, atol=1e-7)
    record = yaml.safe_load((tmp_path / "out" / "modelweave.json").read_text())
    assert [row["files"][0]["name"] for row in record["statistics"]] == ["f0.safetensors", "f1.safetensors"]


def test_what_changed_beside_a_model_forbids_resuming(tmp_path: Path) -> None:
    from modelweave.engine.merge import fingerprint
    from modelweave.recipes.language.load import load_recipe
    from modelweave.recipes.planning.build import build_plan

    (tmp_path / "recipe.yml").write_text(yaml.safe_dump(on_disk(tmp_path)))

    def asked() -> str:
        (document,) = load_recipe(tmp_path / "recipe.yml")
        return fingerprint(build_plan(document, near=tmp_path))

    before = asked()
    assert asked() == before
    save_file({name: value.square() + 1 for name, value in large(5).items()}, tmp_path / "f0.safetensors")
    assert asked() != before


def test_what_does_not_fit_is_one_sentence() -> None:
    with pytest.raises(CompatibilityError, match=r"models\[1\].*needs the fisher of each model, none is given; add 'statistics: {fisher"):
        modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fisher": [SHARES[0], None]})
    with pytest.raises(CompatibilityError, match=r"the fisher of w is \(3,\) of F32, expected .* shape \(2,\)"):
        modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fisher": [SHARES[0], {"w": torch.ones(3)}]})
    with pytest.raises(RecipeError, match="unknown statistics 'fischer'; did you mean 'fisher'"):
        modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fischer": SHARES})
    with pytest.raises(RecipeError, match="uniform_soup takes no statistics; leave 'fisher' out"):
        modelweave.merge(MEMBERS, method="uniform_soup", statistics={"fisher": SHARES})
    with pytest.raises(NonFiniteError, match=r"w: the fisher of 'models\[1\]' holds NaN or infinity"):
        modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fisher": [SHARES[0], {"w": torch.tensor([1.0, float("nan")])}]})
    with pytest.raises(ParameterError, match="fisher of 1 models for 2 models"):
        modelweave.merge(MEMBERS, method="toy_fisher", statistics={"fisher": SHARES[:1]})
    with pytest.raises(ParameterError, match="fisher: unknown model 'c'"):
        modelweave.merge({"a": MEMBERS[0], "b": MEMBERS[1]}, method="toy_fisher", statistics={"fisher": {"c": SHARES[0]}})
