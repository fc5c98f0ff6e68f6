"""The catalog on the terminal; snippets are recipes."""

from __future__ import annotations

import json

import pytest
import yaml

from modelweave.catalog import LEARNERS, METHODS
from modelweave.cli.app import main
from modelweave.cli.methods import snippet
from modelweave.recipes.build import _checked
from modelweave.recipes.load import parse_recipe


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


def test_json(capsys):
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [*METHODS, *LEARNERS]
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
