"""Recipe texts: hostile YAML, misspelt keys, several documents, includes, values from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelweave.errors import RecipeError
from modelweave.recipes.language.load import load_recipe, parse_recipe
from modelweave.recipes.language.set_values import split_assignment, with_value

LINEAR = "merge_method: linear\nmodels:\n  - model: a\n  - model: b\n"
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join('*' + chr(97 + i) for _ in range(10))}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the text is empty"),
        ("---\n---\n", "the text is empty"),
        ("# nothing\n", "the text is empty"),
        ("- a\n- b\n", "expected a mapping with merge_method and models, slices or modules, got a list"),
        ("linear", "got 'linear'"),
        ("a: &a [*a]", "line 1: an alias contains itself"),
        ("x: &x\n  y: *x\n", "an alias contains itself"),
        (LAUGHS, "aliases make this larger than 20000 values"),
        ("[" * 5000, "expected at most 50 levels"),
        ("a: " + "[" * 60 + "]" * 60, "expected at most 50 levels"),
        ("models:\n\t- model: a", "line 2: not YAML, a tab stands where YAML wants spaces"),
        ("a: 1\na: 2", "line 2: key 'a' appears twice, first on line 1"),
        ("on: 1", "line 1: expected text as a key, got 'on'"),
        ("1: 1", "expected text as a key"),
        ("{[a]: 1}", "expected text as a key"),
        ("a: !!python/object/apply:os.system [id]", "expected plain values, got !!python/object/apply:os.system"),
        ("a: 2024-01-01", "expected plain values, got !!timestamp"),
        ("a: [1, 2", "line 1: not YAML"),
        ("a: *b", "undefined alias"),
        (b"\xff\xfe\x00", "expected YAML as UTF-8 text"),
        (b"a: \x00", "expected YAML text, got the character"),
        ("merge_method: linear", "expected exactly one of models, slices, modules, with entries, got none"),
        (LINEAR + "slices:\n - sources: [{model: a, layer_range: [0, 1]}]", "got models and slices"),
        ("models: [{model: a}]", "recipe: expected the key 'merge_method', which is missing"),
        (LINEAR.replace("models", "modls"), "line 2: unknown key 'modls'; did you mean 'models'?"),
        (LINEAR + "    paramters: {weight: 1}", "line 5: models[1]: unknown key 'paramters'; did you mean 'parameters'?"),
        (LINEAR + "dtype: float17", "line 5: dtype: unknown dtype 'float17'; did you mean 'float16'?"),
        (LINEAR + "missing: bass", "missing: expected 'error', 'base', 'intersection' or 'union', got 'bass'"),
        (LINEAR + "seed: -1", "seed: expected greater than or equal to 0, got -1"),
        (LINEAR + "seed: yes", "seed: expected a valid integer, got True"),
        (LINEAR + "    parameters: {weight: null}", "models[1].parameters.weight: expected a value"),
        (LINEAR + "tokenizer_source: base\ntokenizer: {source: base}", "expected one of the two keys, got both"),
        (LINEAR + "tokenizer: {surce: base}", "tokenizer: unknown key 'surce'"),
        ("merge_method: linear\nmodels: [{model: {pth: x}}]", "models[0].model: expected the name of a model"),
        ("merge_method: linear\nmodels: [{model: 7}]", "models[0].model: expected the name of a model, got 7"),
        ("merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [3, 3]}]}]", "expected [first, end) with first below end"),
        ("merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [-1, 3]}]}]", "greater than or equal to 0"),
        ("merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0]}]}]", "at least 2 items"),
        ("merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1.5]}]}]", "valid integer"),
        ("merge_method: passthrough\nslices: [{sources: []}]", "slices[0].sources: expected a list with at least 1 item"),
        (
            "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 3]}, {model: b, layer_range: [0, 2]}]}]",
            "slices[0]: expected sources with equally many layers, got 3, 2",
        ),
    ],
)
def test_bad_text_is_one_sentence(text, sentence):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="r.yml")
    message = str(caught.value)
    assert message.startswith("r.yml")
    assert sentence in message
    assert "\n" not in message


def test_model_references_keep_their_text():
    (document,) = parse_recipe(
        """
merge_method: linear
base_model: org/base@v1
models:
  - model: org/x@main+org/lora@v2
  - model: {model: {path: org/y, revision: r}, lora: org/l, override_architecture: Foo}
  - model: {path: z}
"""
    )
    assert [r.label for r in document.references] == ["org/base@v1", "org/x@main+org/lora@v2", "org/y@r+org/l", "z"]
    assert document.references[2].override_architecture == "Foo"


def test_merge_keys_and_anchors_are_fine():
    (document,) = parse_recipe("merge_method: linear\nmodels:\n - &m {model: a, parameters: {weight: 1}}\n - {<<: *m, model: b}\n")
    assert [m.parameters for m in document.models] == [{"weight": 1}, {"weight": 1}]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("parameters.density=0.3", ("parameters", "density"), 0.3),
        ("models[1].parameters.weight=[0, 1]", ("models", 1, "parameters", "weight"), [0, 1]),
        ("parameters.tol=1e-4", ("parameters", "tol"), "1e-4"),
        ("chat_template=a=b", ("chat_template",), "a=b"),
        ("dtype=", ("dtype",), None),
    ],
)
def test_assignments(text, path, value):
    assert split_assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["density", "=1", "[0].x=1", "a..b=1", "a[x]=1", "a[0=1", "a={b: 1", "a=!!python/name:x"])
def test_bad_assignments(text):
    with pytest.raises(RecipeError, match=r"^--set"):
        split_assignment(text)


def test_values_from_the_command_line():
    (document,) = parse_recipe(LINEAR, sets=["models[0].parameters.weight=1e-4", "parameters.normalize=false", "dtype=float16"])
    assert document.models[0].parameters == {"weight": "1e-4"}
    assert document.parameters == {"normalize": False}
    assert document.dtype == "float16"
    for bad, sentence in [
        ("models[2].model=c", r"expected a list with an entry \[2\], the recipe has a list of 2"),
        ("merge_method.x=1", "expected a mapping that can hold 'x'"),
        ("parmeters.x=1", "unknown key 'parmeters'"),
    ]:
        with pytest.raises(RecipeError, match=sentence):
            parse_recipe(LINEAR, sets=[bad])


def test_setting_a_value_leaves_the_original():
    data = {"a": [{"b": 1}]}
    assert with_value(data, ("a", 0, "b"), 2) == {"a": [{"b": 2}]}
    assert data == {"a": [{"b": 1}]}


def test_documents_come_after_those_they_use():
    text = """
name: last
merge_method: linear
models: [{model: middle@main}, {model: first}]
---
merge_method: linear
models: [{model: last}]
---
name: middle
merge_method: linear
models: [{model: first}, {model: other}]
---
name: first
merge_method: linear
models: [{model: other}]
"""
    documents = parse_recipe(text)
    assert [d.name for d in documents] == ["first", "middle", "last", None]
    assert [d.needs for d in documents] == [(), ("first",), ("middle", "first"), ("last",)]
    (_, _, last, _) = parse_recipe(text, sets=["last.dtype=float16", "seed=3"])
    assert last.dtype == "float16" and last.seed is None


@pytest.mark.parametrize(
    ("names", "models", "sentence"),
    [
        (("x", "y"), ("y", "x"), "x -> y -> x use each other in a circle"),
        (("x", "x"), ("a", "b"), "two documents have the name 'x'"),
        ((None, None), ("a", "b"), "expected a name in every document but one"),
        (("x", "y"), ("x", "a"), "x -> x use each other"),
    ],
)
def test_documents_that_cannot_be_ordered(names, models, sentence):
    text = "---\n".join(
        f"{f'name: {n}' if n else ''}\nmerge_method: linear\nmodels: [{{model: {m}}}]\n" for n, m in zip(names, models, strict=True)
    )
    with pytest.raises(RecipeError, match=sentence):
        parse_recipe(text)


def test_a_set_value_needs_a_document():
    text = "name: x\n" + LINEAR + "---\nname: y\n" + LINEAR
    with pytest.raises(RecipeError, match="begin the path with a name, one of x, y"):
        parse_recipe(text, sets=["dtype=float16"])


def test_includes_lie_under_the_including_file(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "common.yml").write_text("include: deeper.yml\nparameters: {weight: 1, normalize: false}\nseed: 5\n")
    (tmp_path / "parts" / "deeper.yml").write_text("seed: 4\nparameters: {weight: 9}\ndtype: float32\n")
    (tmp_path / "r.yml").write_text("include: parts/common.yml\nparameters: {weight: 2}\n" + LINEAR)
    (document,) = load_recipe(tmp_path / "r.yml")
    assert document.parameters == {"weight": 2, "normalize": False}
    assert (document.seed, document.dtype) == (5, "float32")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"r.yml": "include: r.yml"}, "'r.yml' includes itself"),
        ({"r.yml": "include: a.yml", "a.yml": "include: r.yml"}, "'r.yml' includes itself"),
        ({"r.yml": "include: none.yml"}, "no such recipe 'none.yml'"),
        ({"r.yml": "include: [3]"}, "expected the path of a recipe, got 3"),
        ({"r.yml": "include: a.yml", "a.yml": "- 1"}, "a.yml: expected a mapping"),
        ({"r.yml": "include: a.yml", "a.yml": "a: 1\n---\nb: 1"}, "expected one document in 'a.yml', got 2"),
        ({"r.yml": "include: [" + ", ".join(["a.yml"] * 21) + "]", "a.yml": "seed: 1"}, "at most 20 included files"),
    ],
)
def test_bad_includes(tmp_path: Path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(tmp_path / "r.yml")


def test_recipes_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "none.yml")
    with pytest.raises(RecipeError, match="got a folder"):
        load_recipe(tmp_path)


def test_the_resolved_recipe_reads_back_as_itself():
    (document,) = parse_recipe(
        LINEAR + "base_model: c@v1\nparameters: {weight: [0, 1]}\noverrides: [{filter: mlp, parameters: {weight: 1}}]"
    )
    import json

    (again,) = parse_recipe(json.dumps(document.resolved()))
    assert again == document


def test_a_mistake_is_blamed_on_the_file_that_holds_it(tmp_path):
    (tmp_path / "inner.yml").write_text("dtype: float16\nmodels:\n  - model: a\n    parameters:\n      weight: []\n")
    (tmp_path / "outer.yml").write_text("include: inner.yml\nmerge_method: linear\n")
    with pytest.raises(RecipeError, match=r"^inner\.yml: line 5: models\[0\]\.parameters\.weight"):
        load_recipe(tmp_path / "outer.yml")
    with pytest.raises(RecipeError, match=r"^--set models\[0\]\.parameters\.weight=\[\]: models\[0\]"):
        load_recipe(tmp_path / "outer.yml", ["models[0].parameters.weight=[]"])
    (tmp_path / "outer.yml").write_text("include: inner.yml\nmerge_method: linear\nmodels:\n  - model: a\n    weight: 1\n")
    with pytest.raises(RecipeError, match=r"^outer\.yml: line 5: models\[0\]: unknown key 'weight'"):
        load_recipe(tmp_path / "outer.yml")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "middle.yml").write_text("include: deep.yml\n")
    (tmp_path / "sub" / "deep.yml").write_text("dtype: float1\n")
    (tmp_path / "over.yml").write_text("include: sub/middle.yml\nmerge_method: linear\n")
    with pytest.raises(RecipeError, match=r"^sub/deep\.yml: line 1: dtype"):
        load_recipe(tmp_path / "over.yml")
    assignment = "slices[0].sources[0].layer_range=[3, 1]"
    (tmp_path / "s.yml").write_text("merge_method: passthrough\nslices:\n  - sources:\n    - {model: a, layer_range: [0, 1]}\n")
    with pytest.raises(RecipeError, match=r"^--set slices\[0\]\.sources\[0\]\.layer_range=\[3, 1\]: .*first below end"):
        load_recipe(tmp_path / "s.yml", [assignment])
    with pytest.raises(RecipeError, match=r"^--set include=x\.yml: files are included before values are set"):
        load_recipe(tmp_path / "outer.yml", ["include=x.yml"])


def test_a_tokenizer_of_another_document_is_a_dependency():
    text = """
name: y
merge_method: linear
models: [{model: a, parameters: {weight: 1}}]
tokenizer_source: x
---
name: x
merge_method: linear
models: [{model: b, parameters: {weight: 1}}]
---
merge_method: linear
models: [{model: y, parameters: {weight: 1}}]
tokenizer: {source: union, tokens: {t: {source: z}}}
---
name: z
merge_method: linear
models: [{model: b, parameters: {weight: 1}}]
"""
    documents = parse_recipe(text)
    assert [d.name for d in documents] == ["x", "y", "z", None]
    assert [d.needs for d in documents] == [(), ("x",), (), ("y", "z")]


def test_a_document_may_have_the_name_of_a_tokenizer_source():
    for word in ("base", "union"):
        (document,) = parse_recipe(LINEAR + f"name: {word}\nbase_model: c\ntokenizer_source: {word}\n")
        assert document.needs == ()


def test_a_model_that_is_text_alone_takes_parameters():
    (document,) = parse_recipe("merge_method: linear\nmodels: [a, b]\n", sets=["models[1].parameters.weight=0.5"])
    assert [(m.model.label, dict(m.parameters)) for m in document.models] == [("a", {}), ("b", {"weight": 0.5})]
    with pytest.raises(RecipeError, match="expected a mapping that can hold 'x'"):
        parse_recipe("merge_method: linear\nmodels: [a, b]\n", sets=["merge_method.x=1"])


def test_what_is_no_mapping_is_said_in_plain_words():
    with pytest.raises(RecipeError, match=r"models\[0\]: expected a mapping, got 5"):
        parse_recipe("merge_method: linear\nmodels: [5]\n")
