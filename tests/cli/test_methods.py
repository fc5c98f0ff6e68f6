"""The catalog on the terminal; examples are recipes and commands."""

from __future__ import annotations

import json

import pytest
import yaml

from modelweave.catalog import LEARNERS, LEVELS, MEMBERS, METHODS, STEPS, rows
from modelweave.cli.app import main
from modelweave.describe import example
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import _checked


def test_the_list_has_every_method_in_a_line_of_80_columns(capsys):
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    starts = [line.split()[0] for line in lines if line.startswith("    ")]
    assert sorted(starts) == sorted([*(row.name for row in rows()), *["method"] * len(LEVELS)])
    place = lines.index("  spectra, by decomposing whole matrices")
    assert lines[place + 1].split() == ["tsv_m", *METHODS["tsv_m"].purpose.split(), "base,", "1+"]
    assert next(line for line in lines if line.startswith("    ties ")).endswith("base, 1+      29")


def test_one_level_alone(capsys):
    for level, names in (("predictions", [*LEARNERS]), ("outputs", [*LEARNERS, *MEMBERS]), ("outputs/text_table", [*MEMBERS])):
        assert main(["methods", "--level", level, "--json"]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == names
    assert main(["methods", "--level", "weights"]) == 0
    out = capsys.readouterr().out
    assert "    ties " in out and "    lines " in out and "greedy" not in out
    assert main(["methods", "--level", "wieghts"]) == 2
    assert "did you mean 'weights'" in capsys.readouterr().err
    assert main(["methods", "ties", "--level", "predictions"]) == 2
    assert "unknown method 'ties'" in capsys.readouterr().err


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
    assert json.loads(capsys.readouterr().out)["level"] == "outputs/predictions"
    assert main(["methods", "greddy"]) == 2
    assert "did you mean 'greedy'" in capsys.readouterr().err


def test_the_example_of_a_blend_has_what_it_needs(capsys):
    for name, words in (("chooser", "--method chooser --set chooser=CHOOSER\n"), ("per_group", "--method per_group --segments COLUMN\n")):
        assert main(["methods", name]) == 0
        assert words in capsys.readouterr().out


def test_a_step_in_full(capsys):
    assert main(["methods", "lines"]) == 0
    out = capsys.readouterr().out
    assert "alpha + beta * layer / (layers - 1)" in out and "factor of the first layer" in out and "after:\n  - lines\n" in out
    assert main(["methods", "LiNeS", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == "weights/after" and [p["name"] for p in found["parameters"]] == ["alpha", "beta"]


@pytest.mark.parametrize(("word", "name"), [("TIES", "ties"), ("DARE-TIES", "dare_ties"), ("Greedy", "greedy")])
def test_capitals_and_dashes_are_read(word, name, capsys):
    assert main(["methods", word]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")


def test_of_two_of_a_name_the_first_is_shown_and_the_other_told(capsys):
    assert main(["methods", "linear"]) == 0
    out = capsys.readouterr().out
    assert "merge_method: linear" in out and out.endswith("modelweave methods linear --level outputs/text_table\n")
    assert main(["methods", "linear", "--level", "text_table"]) == 0
    out = capsys.readouterr().out
    assert "parameters  the arguments of LinearModel, in options={'linear': {...}}" in out and "merge_method" not in out


def test_needs_do_not_contradict_the_rest_of_the_row(capsys):
    words = {name: row.wants for name, row in METHODS.items()}
    assert words["slerp"] == "two models, one of them named as base_model"
    assert words["layer_swap"] == "2 models; a base is optional"
    assert words["nuslerp"] == "2 models; a base is optional; with one, changes are taken from it"
    assert words["ties"].startswith("1 or more models; ") and words["nearswap"].startswith("1 model; ")
    assert not any("1 models" in text for text in words.values())
    assert main(["methods", "universal"]) == 0
    assert capsys.readouterr().out.count("paper 07") == 1


def test_json(capsys):
    assert main(["methods", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["level"], row["name"]) for row in found] == [(row.level, row.name) for row in rows()]
    assert main(["methods", "slerp", "--json"]) == 0
    (t,) = json.loads(capsys.readouterr().out)["parameters"]
    assert t["required"] is True and t["default"] is None and t["at_most"] is None


@pytest.mark.parametrize("name", METHODS)
def test_examples_pass_the_recipe_checks(name):
    text = example(METHODS[name])
    (document,) = parse_recipe(text)
    _checked(document, METHODS)
    assert yaml.safe_load(text) == METHODS[name].example
    given = set(document.parameters) | {key for member in document.models for key in member.parameters}
    assert {p.name for p in METHODS[name].parameters if p.required} <= given


@pytest.mark.parametrize("name", METHODS)
def test_a_result_that_is_taken_up_again_is_kept_in_float32(name):
    assert ("out_dtype: float32\n" in example(METHODS[name])) is (name in ("opcm", "emr"))


@pytest.mark.parametrize("name", STEPS)
def test_examples_of_steps_pass_the_recipe_checks(name):
    (document,) = parse_recipe(example(STEPS[name]))
    _checked(document, METHODS)
    assert document.after == [name]
