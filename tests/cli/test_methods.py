"""The catalog on the terminal; snippets are recipes."""

from __future__ import annotations

import json

import pytest
import yaml

from modelweave.catalog import LEARNERS, METHODS
from modelweave.cli.app import main
from modelweave.cli.methods import needs_text, snippet, step_snippet
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import _checked
from modelweave.weights.after.steps import STEPS


def test_the_table_has_every_method(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2 : len(METHODS) + 2]] == list(METHODS)
    blends = lines.index("predictions, for modelweave blend") + 2
    assert [line.split()[0] for line in lines[blends : blends + len(LEARNERS)]] == list(LEARNERS)
    head, ties = lines[1], next(line for line in lines if line.startswith("ties "))
    assert "paper" in head.split() and "29" in ties.split()


def test_one_method_in_full(capsys):
    assert main(["methods", "ties"]) == 0
    out = capsys.readouterr().out
    assert "keep_top -> sign_consensus" in out and "scale, lambda" in out and "merge_method: ties" in out
    assert "a number above 0 and at most 1" in out and "(paper 29)" in out and "\x1b" not in out


def test_one_blend_in_full(capsys):
    assert main(["methods", "greedy"]) == 0
    out = capsys.readouterr().out
    assert "preset      autogluon: rounds 25" in out and "modelweave blend predictions/ --targets y.csv --method greedy" in out
    assert main(["methods", "greedy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["level"] == "outputs"
    assert main(["methods", "greddy"]) == 2
    assert "did you mean 'greedy'" in capsys.readouterr().err


def test_the_example_of_a_blend_has_what_it_needs(capsys):
    for name, words in (("chooser", "--method chooser --set chooser=FOLDER\n"), ("per_group", "--method per_group --segments COLUMN\n")):
        assert main(["methods", name]) == 0
        assert words in capsys.readouterr().out


def test_a_step_in_full(capsys):
    assert main(["methods", "lines"]) == 0
    out = capsys.readouterr().out
    assert "alpha + beta * layer / (layers - 1)" in out and "factor of the first layer" in out and "after:\n  - lines\n" in out
    assert main(["methods", "LiNeS", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == "after" and [p["name"] for p in found["parameters"]] == ["alpha", "beta"]
    assert main(["methods"]) == 0
    assert "\nlines  change times" in capsys.readouterr().out


@pytest.mark.parametrize(("word", "name"), [("TIES", "ties"), ("DARE-TIES", "dare_ties"), ("Greedy", "greedy")])
def test_capitals_and_dashes_are_read(word, name, capsys):
    assert main(["methods", word]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")


def test_needs_do_not_contradict_the_rest_of_the_row(capsys):
    words = {name: needs_text(row) for name, row in METHODS.items()}
    assert words["slerp"] == "two models, one of them named as base_model"
    assert words["layer_swap"] == "2 models; a base is optional"
    assert words["nuslerp"] == "2 models; a base is optional; with one, changes are taken from it"
    assert words["ties"].startswith("1 or more models; ") and words["nearswap"].startswith("1 model; ")
    assert not any("1 models" in text for text in words.values())
    assert main(["methods", "universal"]) == 0
    assert capsys.readouterr().out.count("paper 07") == 1


def test_every_parameter_says_what_it_means():
    assert not [
        (row.name, p.name) for row in (*METHODS.values(), *LEARNERS.values(), *STEPS.values()) for p in row.parameters if not p.help
    ]


def test_json(capsys):
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [*METHODS, *LEARNERS, *STEPS]
    assert main(["methods", "slerp", "--json"]) == 0
    (t,) = json.loads(capsys.readouterr().out)["parameters"]
    assert t["required"] is True and t["default"] is None and t["at_most"] is None


@pytest.mark.parametrize("name", METHODS)
def test_snippets_pass_the_recipe_checks(name):
    text = snippet(METHODS[name])
    (document,) = parse_recipe(text)
    _checked(document, METHODS)
    assert yaml.safe_load(text)["merge_method"] == name
    given = set(document.parameters) | {key for member in document.models for key in member.parameters}
    assert {p.name for p in METHODS[name].parameters if p.required} <= given


@pytest.mark.parametrize("name", METHODS)
def test_a_result_that_is_taken_up_again_is_kept_in_float32(name):
    assert ("out_dtype: float32\n" in snippet(METHODS[name])) is (name in ("opcm", "emr"))


@pytest.mark.parametrize("name", STEPS)
def test_snippets_of_steps_pass_the_recipe_checks(name):
    (document,) = parse_recipe(step_snippet(STEPS[name]))
    _checked(document, METHODS)
    assert document.after == [name]
