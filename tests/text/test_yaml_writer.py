"""Written YAML against PyYAML, which reads it back."""

from __future__ import annotations

import math

import pytest
import yaml

from modelweave.text.yaml_writer import write_yaml

ODD = [
    "007",
    "yes",
    "null",
    "a: b",
    "- a",
    "a, b",
    "{x}",
    "x # y",
    "it's",
    "two\nlines",
    "",
    " ",
    "1e-5",
    "~",
    "é",
    "path/to/it",
    "a]b",
    "@x",
]


@pytest.mark.parametrize("text", ODD)
def test_texts_are_read_back_wherever_they_stand(text: str) -> None:
    data = {"base": text, text or "key": 1, "models": [{"model": text, "parameters": {"a": text, "b": [text, text]}}], "after": [text]}
    assert yaml.safe_load(write_yaml(data)) == data


@pytest.mark.parametrize("value", [1, 0.1, 1e-5, 1e-15, 2.5e-300, 1e20, -3.0, True, False, None, math.pi, [0, 0.5, 1], {}, []])
def test_values_are_read_back(value: object) -> None:
    data = {"value": value, "parameters": {"value": value}, "models": [{"model": "a", "parameters": {"value": value}}]}
    assert yaml.safe_load(write_yaml(data)) == data


def test_filters_and_lists_of_filters() -> None:
    data = {"parameters": {"t": [{"filter": "mlp", "value": [0, 1]}, {"value": 0.5}]}, "after": [{"lines": {"alpha": 0.5}}]}
    assert yaml.safe_load(write_yaml(data)) == data
    assert "    - filter: mlp\n      value: [0, 1]\n" in write_yaml(data)


def test_comments_stay_comments() -> None:
    text = write_yaml({"a": 1}, ["one\ntwo: 2", "three"])
    assert text == "# one two: 2\n# three\n\na: 1\n"
