"""Advice: the rules that hold, what is said to be useless, and recipes that plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import modelweave
from modelweave.catalog import METHODS
from modelweave.cli.app import main
from modelweave.evaluation.advise import RULES, Facts, advise
from modelweave.recipes.build import build_plan
from modelweave.recipes.load import parse_recipe

Model = dict[str, torch.Tensor]


def made(members: int, *, agree: float = 0.0, size: float = 0.05, seed: int = 0) -> tuple[Model, list[Model]]:
    """A base and fine-tunes whose changes have about the cosine `agree`."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Model:
        return {f"layers.{i}.w": torch.randn(30, 20, generator=generator) for i in range(3)}

    base, common = noise(), noise()
    own = [noise() for _ in range(members)]
    tuned = [{n: base[n] + size * (agree**0.5 * common[n] + (1 - agree) ** 0.5 * o[n]) for n in base} for o in own]
    return base, tuned


@pytest.mark.parametrize(
    ("members", "agree", "first"), [(2, 0.0, "tsv_m"), (4, 0.0, "ties"), (5, 0.0, "core_space"), (8, 0.0, "sce"), (4, 0.9, "linear")]
)
def test_the_first_choice_follows_the_table(members: int, agree: float, first: str) -> None:
    base, tuned = made(members, agree=agree)
    found = advise(base, tuned)
    assert found.ranking[0].method == first
    assert found.facts.cosine == pytest.approx(agree, abs=0.1) and found.facts.members == members


def test_every_choice_of_every_rule_can_be_merged() -> None:
    base, tuned = made(3)
    for rule in RULES:
        for choice in rule.choices:
            ground = base if METHODS[choice.method].needs.base == "required" else None
            assert modelweave.merge(tuned, method=choice.method, base=ground, **choice.options)
    assert RULES[-1].holds(Facts(1, 0, 0, 0, 0, 0, False))


def test_warnings_and_what_changes_nothing() -> None:
    base, tuned = made(2)
    found = advise(base, [*tuned, base, tuned[0]])
    said = " ".join(found.warnings)
    assert "'model-3' changes nothing of the base" in said and "'model-1' and 'model-4' are the same change" in said
    assert "pulled in opposite directions" in " ".join(advise(base, tuned).warnings)
    assert "dilute every member" in " ".join(advise(base, tuned).warnings)
    assert "slerp" not in found.useless
    near = advise(*made(2, size=0.001))
    assert "nearly parallel" in near.useless["slerp"]
    assert found.impossible["slerp"] == "takes 1 model beside the base" and "ties" not in found.impossible
    far = advise(*made(2, size=1.0))
    assert any("changes of more than 30%" in warning for warning in far.warnings)
    uneven = advise(base, [tuned[0], {n: base[n] + 10 * (tuned[1][n] - base[n]) for n in base}])
    assert any("times the least; give weights" in warning for warning in uneven.warnings)


@pytest.mark.parametrize("members", [1, 2, 5, 7])
def test_recipes_plan(members: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base, tuned = made(members)
    for name, model in (("base", base), *((f"m{i}", m) for i, m in enumerate(tuned))):
        Path(name).mkdir()
        save_file(model, f"{name}/model.safetensors")
    names = [f"m{i}" for i in range(members)]
    assert main(["advise", "base", *names, "--write", "recipe.yml"]) == 0
    assert "written: recipe.yml" in capsys.readouterr().out
    plan = build_plan(parse_recipe(Path("recipe.yml").read_text(), where="recipe.yml")[0])
    assert len(plan.tensors) == 3
    assert main(["advise", "base", *names, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ranking"][0]["method"] in METHODS
    assert main(["advise", "base", *names, "--write", "recipe.yml"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "nowhere", "neither"]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(modelweave.ModelweaveError, match="no fine-tunes were given"):
        advise({"w": torch.ones(2)}, [])
