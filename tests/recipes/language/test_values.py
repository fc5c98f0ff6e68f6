"""Parameter values by hand: gradients, filters, precedence."""

from __future__ import annotations

import pytest

from modelweave.errors import ParameterError
from modelweave.recipes.language.values import UNSET, check_form, evaluate, filters, leaves, resolve
from modelweave.row import Parameter

T = Parameter("t", "float", scope="shared")
FLAG = Parameter("flag", "bool", False)
WORD = Parameter("word", "str", "a")
COUNT = Parameter("count", "int", 1)
SCALE = Parameter("scale", "float", 1.0, aliases=("lambda",))


def value(setting, parameter=T, name="model.layers.0.mlp.weight", t=0.0):
    return evaluate(setting, parameter, name=name, t=t, where="here")


@pytest.mark.parametrize(
    ("t", "expected"), [(0, 0), (0.125, 0.25), (0.25, 0.5), (0.375, 0.4), (0.5, 0.3), (0.625, 0.5), (0.75, 0.7), (0.875, 0.85), (1, 1)]
)
def test_gradient_is_linear_between_its_five_points(t, expected):
    assert value([0, 0.5, 0.3, 0.7, 1], t=t) == pytest.approx(expected)


def test_gradient_of_one_value_is_that_value():
    assert value([0.3], t=0.7) == 0.3


@pytest.mark.parametrize(("t", "expected"), [(0, False), (0.49, False), (0.5, True), (0.99, True), (1.0, False)])
def test_flags_switch(t, expected):
    assert value([False, True, False], FLAG, t=t) is expected


def test_text_switches_even_if_it_looks_like_numbers():
    assert value(["1", "2"], WORD, t=0.9) == "1"
    assert value(["1", "2"], WORD, t=1) == "2"


def test_scientific_notation_without_a_point_is_text_in_yaml_and_still_a_number():
    assert value("1e-4") == 1e-4
    assert value(["0", "1e-2"], t=0.5) == pytest.approx(0.005)


def test_whole_numbers_may_not_become_fractions_on_the_way():
    assert value([1, 3], COUNT, t=0.5) == 2
    with pytest.raises(ParameterError, match="here: count must be a whole number"):
        value([1, 2], COUNT, t=0.5)


def test_first_matching_filter_counts():
    setting = [{"filter": "self_attn", "value": 0.1}, {"filter": "attn", "value": 0.2}, {"filter": "*", "value": [0, 1]}]
    assert value(setting, name="a.self_attn.q") == 0.1
    assert value(setting, name="a.cross_attn.q") == 0.2
    assert value(setting, name="mlp", t=0.25) == 0.25


def test_no_matching_filter_leaves_the_value_to_the_next_level():
    near = ("models[0].parameters", {"t": {"filter": "attn", "value": 1}})
    far = ("parameters", {"t": 0.2})
    assert value(near[1]["t"]) is UNSET
    assert resolve(T, [near, far], name="mlp", t=0) == 0.2
    assert resolve(T, [near, far], name="attn", t=0) == 1
    assert resolve(T, [near], name="mlp", t=0) is UNSET


def test_aliases_name_the_same_parameter_but_not_twice():
    assert resolve(SCALE, [("parameters", {"lambda": 2})], name="x", t=0) == 2
    with pytest.raises(ParameterError, match="scale and lambda are the same parameter"):
        resolve(SCALE, [("parameters", {"lambda": 2, "scale": 1})], name="x", t=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "much", True, None])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ParameterError, match="here: t must be a number, got"):
        value(bad)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        [[1]],
        {"value": None},
        {"filter": "x"},
        {"filtre": "x", "value": 1},
        [1, {"value": 1}],
        [{"value": []}],
        {"filter": 1, "value": 1},
    ],
)
def test_forms_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        check_form(bad)


def test_leaves_and_filters_reach_everything():
    setting = [{"filter": "a", "value": [1, 2]}, {"value": 3}]
    assert list(leaves(setting)) == [1, 2, 3]
    assert list(filters(setting)) == ["a"]
