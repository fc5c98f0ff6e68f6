"""What every row of every family must say, generated from the catalog."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from modelweave import catalog
from modelweave.describe import as_dict, example, facts, parameter_table
from modelweave.errors import ParameterError, RecipeError
from modelweave.row import Parameter, Row

ROWS = catalog.rows()
each_row = pytest.mark.parametrize("row", ROWS, ids=[f"{row.level}-{row.name}" for row in ROWS])
GIVEN = {"float": 0.5, "int": 1, "bool": True, "str": "word"}


def required(row: Row) -> dict[str, object]:
    return {p.name: p.choices[0] if p.choices else GIVEN[p.kind] for p in row.parameters if p.required}


@each_row
def test_it_says_what_it_is_and_when_to_use_it(row: Row) -> None:
    assert row.title and row.formula and row.group
    assert 0 < len(row.purpose) <= 42 and not row.purpose.endswith("."), "a line of the list has 80 columns"
    assert row.takes and len(row.takes) <= 10
    assert all(p.help for p in row.parameters)
    assert row.paper is None or 1 <= row.paper <= 59


@each_row
def test_names_of_parameters_are_each_one_parameter(row: Row) -> None:
    words = Counter(word for p in row.parameters for word in p.words)
    assert max(words.values(), default=1) == 1
    assert all(row.parameter(word, "here").name == p.name for p in row.parameters for word in p.words)


@each_row
def test_defaults_and_presets_are_legal(row: Row) -> None:
    settled = row.settle(required(row))
    assert list(settled) == [p.name for p in row.parameters]
    for name, values in row.presets.items():
        with_preset = row.settle(required(row), name)
        for word, value in values.items():
            parameter = row.parameter(word, name)
            assert parameter.check(value, name) == value == with_preset[parameter.name]
    for p in row.parameters:
        if p.default is not None and not p.required:
            assert p.check(p.default, "default") == p.default


@each_row
def test_what_is_given_goes_before_presets_and_defaults(row: Row) -> None:
    for p in row.parameters:
        value = p.choices[-1] if p.choices else GIVEN[p.kind]
        if p.kind in ("float", "int") and not p.choices:
            value = next(
                v for v in (0.5, 1, 64, 256) if p.at_least <= v <= p.at_most and v > p.above and (p.kind == "float" or v == int(v))
            )
        free = replace(row, constraint=None)
        for word in p.words:
            for preset in (None, *row.presets):
                assert free.settle({**required(row), word: value}, preset)[p.name] == value


@each_row
def test_a_missing_required_parameter_is_named(row: Row) -> None:
    for p in row.parameters:
        given = {name: value for name, value in required(row).items() if name != p.name}
        if p.required:
            with pytest.raises(ParameterError, match=f"{row.name} needs {p.name}"):
                row.settle(given)


@each_row
def test_json_and_words_say_the_same(row: Row) -> None:
    plain = json.loads(json.dumps(as_dict(row), default=str))
    assert (plain["name"], plain["level"], plain["purpose"]) == (row.name, row.level, row.purpose)
    assert plain["snippet"] == example(row) and row.name in plain["snippet"]
    words = dict(facts(row))
    assert words["formula"] == plain["formula"] and words["use it for"] == row.purpose
    headings, cells = parameter_table(row)
    assert [line[0].split(", ")[0] for line in cells] == [p["name"] for p in plain["parameters"]]
    assert all(len(line) == len(headings) for line in cells)


def test_two_families_may_both_have_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = replace(catalog.METHODS["linear"], name="mean")
    monkeypatch.setitem(catalog.METHODS, "mean", twin)
    assert catalog.row("mean", "weights") is twin
    assert catalog.row("mean", "predictions") is catalog.LEARNERS["mean"]
    with pytest.raises(RecipeError, match="method 'mean' is one of weights and one of outputs/predictions; name the level, too"):
        catalog.row("mean")


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(RecipeError, match="unknown method 'tise'; did you mean 'ties'"):
        catalog.row("tise")
    with pytest.raises(RecipeError, match="unknown method 'greedy'"):
        catalog.row("greedy", "weights")
    with pytest.raises(ParameterError, match="unknown level 'layer'"):
        catalog.rows("layer")


def test_settling_by_hand() -> None:
    row = Row(
        "toy",
        "Toy",
        "x",
        "",
        level="toys",
        parameters=(
            Parameter("a", "float", 1.0, aliases=("alpha",), at_most=2),
            Parameter("b", "int", scope="model"),
            Parameter("c", "str", "x"),
        ),
        presets={"half": {"a": 0.5, "b": 3}},
        constraint=lambda values: f"a must be below b, got {values['a']:g} and {values['b']}" if values["a"] >= values["b"] else None,
    )
    assert row.settle({"b": 2}) == {"a": 1.0, "b": 2, "c": "x"}
    assert row.settle({"alpha": "1.5"}, "half") == {"a": 1.5, "b": 3, "c": "x"}
    assert row.settle({}, "half", scopes=("shared",)) == {"a": 0.5, "c": "x"}
    for given, message in (
        ({}, "options: toy needs b"),
        ({"a": 1, "alpha": 1, "b": 2}, "options: a and alpha are the same parameter; keep one"),
        ({"a": 3, "b": 9}, "options: a must be a number at most 2, got 3"),
        ({"b": 1}, "options: toy: a must be below b, got 1 and 1"),
        ({"d": 1}, "options: unknown parameter of toy 'd'"),
    ):
        with pytest.raises(ParameterError, match=message):
            row.settle(given)
    with pytest.raises(ParameterError, match="preset: unknown preset 'full', toy has half"):
        row.settle({}, "full")
