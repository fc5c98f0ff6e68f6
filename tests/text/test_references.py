"""Names of models, as people write them and as recipes do."""

from __future__ import annotations

import pytest

from modelweave.errors import RecipeError
from modelweave.text.references import base_and_adapter, hub_id, reference


def test_hub_ids() -> None:
    assert hub_id("org/name") == ("org/name", None)
    assert hub_id("org/na.me-1_x@refs/pr/3") == ("org/na.me-1_x", "refs/pr/3")
    for text in ("name", "./a/b", "a/b/c", "/a/b", "a/b@", "a/b@../x", "a/..", "a--b/c", "~/x", "a/b c"):
        assert hub_id(text) is None, text


def test_of_several_marks_the_one_whose_sides_exist() -> None:
    there = {"a+b", "c"}
    assert base_and_adapter("a+b+c", there.__contains__) == ("a+b", "c")
    assert base_and_adapter("a+b+c") == ("a+b", "c")
    assert base_and_adapter("x+c+d", {"c+d"}.__contains__) == ("x", "c+d")
    assert base_and_adapter("plain") is base_and_adapter("+a") is base_and_adapter("a+") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ({"path": "a", "revision": 2}, "a@2"),
        ({"model": "a", "lora": None, "override_architecture": "X"}, "a"),
        ({"model": {"path": "a"}, "lora": {"path": "b", "revision": "v1"}}, "a+b@v1"),
    ],
)
def test_every_form_of_a_recipe(value: object, text: str) -> None:
    assert reference(value, "models[0]") == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "models: expected the name of a model, got 3"),
        (" ", "models: expected the name of a model"),
        ({"model": "a", "lora": ""}, "models: expected the name of a model"),
        ({"path": "a", "revison": "x"}, "models: unknown key 'revison'; did you mean 'revision'"),
        ({"name": "a"}, "models: expected the name of a model"),
    ],
)
def test_what_names_no_model(value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=f"^{message}".replace("[", "\\[")):
        reference(value, "models")
