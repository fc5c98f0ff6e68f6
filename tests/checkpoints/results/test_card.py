"""The model card and the licence."""

from __future__ import annotations

import pytest
import yaml

from modelweave.checkpoints.results.card import combine_licences, model_card

METHODS = [("TIES", "base + scale * mean", "Yadav 2023")]


def front(card: str) -> dict[str, object]:
    _, text, _ = card.split("---\n", 2)
    loaded: dict[str, object] = yaml.safe_load(text)
    return loaded


@pytest.mark.parametrize(
    ("licences", "joint", "words"),
    [
        ([("a", "mit"), ("b", "mit")], "mit", None),
        ([("a", "llama3"), ("b", "llama3")], "llama3", None),
        ([("a", "MIT"), ("b", "mit")], "MIT", None),
        ([("a", "mit"), ("b", "gemma")], None, "different licences ('a': mit, 'b': gemma)"),
        ([("a", "mit"), ("b", None), ("c", "")], None, "no licence is named by 'b', 'c' ('a': mit)"),
        ([("a", "other"), ("b", "other")], None, "without a known name"),
        ([("a", None)], None, None),
        ([], None, None),
    ],
)
def test_licences_of_the_inputs(licences: list[tuple[str, str | None]], joint: str | None, words: str | None) -> None:
    found, warnings = combine_licences(licences)
    assert found == joint
    assert len(warnings) == (words is not None)
    assert words is None or (words in warnings[0] and "check which one" in warnings[0])


def test_front_matter_is_what_hubs_read() -> None:
    card = model_card(name="x", recipes=[{}], labels=["org/a", "org/b", "org/a"], methods=METHODS, licence="mit", library="transformers")
    assert front(card) == {
        "base_model": ["org/a", "org/b"],
        "base_model_relation": "merge",
        "tags": ["merge", "modelweave"],
        "library_name": "transformers",
        "license": "mit",
    }
    assert "- **TIES**: base + scale * mean (Yadav 2023)" in card


def test_what_is_unknown_is_left_out() -> None:
    assert front(model_card(name="x", recipes=[{}], labels=[], methods=[])).keys() == {"base_model", "base_model_relation", "tags"}


def test_nothing_private_is_in_it() -> None:
    labels = ["/home/ann/secret/a", "https://ann:key@host/b?X-Amz-Signature=1", "./c", "/x/models--org--d/snapshots/00ff"]
    recipe = {"models": [{"model": label} for label in labels], "base_model": "/home/ann/a+/home/ann/lora"}
    card = model_card(name="x", recipes=[recipe], labels=labels, methods=METHODS)
    assert front(card)["base_model"] == ["a", "https://host/b", "./c", "org/d"]
    for word in ("ann", "key", "X-Amz", "/home", "secret"):
        assert word not in card
    assert "a+lora" in card


def test_the_recipe_stands_in_it_whatever_it_holds() -> None:
    recipe = {"merge_method": "ties", "chat_template": "```\n{{ x }}\n```", "weights": (0.5, 1)}
    card = model_card(name="x", recipes=[recipe], labels=[], methods=METHODS)
    text = card.split("````yaml\n")[1].split("\n````\n")[0]
    assert yaml.safe_load(text) == {**recipe, "weights": [0.5, 1]}
