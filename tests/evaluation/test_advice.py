"""Advice: the rules that hold, what is said to be useless, and recipes that plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import modelweave
from modelweave.catalog import METHODS
from modelweave.cli.app import main
from modelweave.evaluation.advice import RULES, Facts, advise
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import build_plan

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
    assert "slerp" not in near.conditional
    assert found.impossible["slerp"] == "take two models, one of them named as base_model" and "ties" not in found.impossible
    assert found.impossible["nearswap"] == "take 1 model beside the base" and found.impossible["nuslerp"] == "take 2 models"
    assert "passthrough" not in found.impossible
    far = advise(*made(2, size=1.0))
    assert any("changes of more than 30%" in warning for warning in far.warnings)
    uneven = advise(base, [tuned[0], {n: base[n] + 10 * (tuned[1][n] - base[n]) for n in base}])
    assert any("times the least; give weights" in warning for warning in uneven.warnings)


def test_why_is_said_in_numbers() -> None:
    base, tuned = made(3)
    because = advise(base, tuned).because
    assert because.startswith("3 fine-tunes differ from the base (few); their changes are nearly unrelated (mean cosine 0.0")
    ground, ones = torch.full((1000,), 64.0), torch.ones(1000)
    signs = torch.where(torch.arange(1000) < 499, 1.0, -1.0)
    # the cosine is -2 / 1000
    assert advise({"w": ground}, [{"w": ground + ones}, {"w": ground + signs}]).because.endswith("(mean cosine 0.00)")


def test_two_members_are_what_slerp_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned = made(2)
    found = advise(base, tuned)
    assert found.conditional == {"slerp": "name one of the two as base_model"} and "slerp" not in found.impossible
    monkeypatch.chdir(tmp_path)
    for name, model in (("base", base), ("one", tuned[0]), ("two", tuned[1])):
        save_file(model, f"{name}.safetensors")
    assert main(["advise", "base.safetensors", "one.safetensors", "two.safetensors"]) == 0
    assert "\nslerp: name one of the two as base_model\n" in capsys.readouterr().out


def test_one_member_has_nothing_to_be_parallel_to() -> None:
    base, tuned = made(1)
    found = advise(base, tuned)
    assert "cosine" not in found.because and not found.useless.keys() & {"slerp", "multislerp", "karcher"}
    assert "slerp" not in found.impossible and not found.conditional
    assert found.impossible["nuslerp"] == "need at least 2 models"


def tokenizer(*words: str) -> str:
    model = {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": words[0]}
    return json.dumps({"version": "1.0", "added_tokens": [], "model": model})


@pytest.mark.parametrize("rule", range(len(RULES)))
def test_the_recipe_for_a_member_with_new_tokens_plans(rule: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelweave.evaluation.advice.RULES", (dataclasses.replace(RULES[rule], holds=lambda facts: True),))
    monkeypatch.chdir(tmp_path)
    base, tuned = made(2)
    words = ("x", "y", "z")
    for name, model, more in (("base", base, ()), ("one", tuned[0], ()), ("two", tuned[1], ("new", "newer"))):
        Path(name).mkdir()
        rows = torch.randn(len(words) + len(more), 20, generator=torch.Generator().manual_seed(len(more)))
        save_file({**model, "model.embed_tokens.weight": rows}, f"{name}/model.safetensors")
        Path(name, "tokenizer.json").write_text(tokenizer(*words, *more))
        Path(name, "config.json").write_text(json.dumps({"vocab_size": len(rows)}))
    found = advise("base", ["one", "two"])
    assert "\ntokenizer_source: union\n" in found.recipe and any("by token" in warning for warning in found.warnings)
    plan = build_plan(parse_recipe(found.recipe)[0])
    assert next(t for t in plan.tensors if t.name == "model.embed_tokens.weight").shape == (5, 20)
    assert "tokenizer_source" not in advise("base", ["one"]).recipe


def test_without_tokenizers_nothing_is_said_of_them() -> None:
    base, tuned = made(2)
    longer = {**tuned[1], "model.embed_tokens.weight": torch.ones(4, 2)}
    found = advise(
        {**base, "model.embed_tokens.weight": torch.ones(3, 2)}, [{**tuned[0], "model.embed_tokens.weight": torch.ones(3, 2)}, longer]
    )
    assert "tokenizer_source" not in found.recipe and "shapes differ" in " ".join(found.warnings)


def test_names_do_not_break_out_of_the_comments_of_a_recipe() -> None:
    base, tuned = made(2)
    name = "a\nmerge_method: linear\u2028x"
    found = advise({**base, name: torch.ones(2)}, [{**model, name: torch.ones(3)} for model in tuned])
    assert parse_recipe(found.recipe)[0].merge_method == "tsv_m"


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
