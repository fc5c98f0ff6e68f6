"""Plans in rows, plans of several documents, plans without a recipe's text, the schema; mergekit's own examples."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from modelweave.catalog import METHODS
from modelweave.errors import CheckpointError, ModelweaveError, RecipeError
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.language.schema import recipe_schema
from modelweave.recipes.planning.build import _checked, build_plan
from modelweave.recipes.planning.describe import (
    as_dict,
    dropped_rows,
    input_rows,
    output_rows,
    parameter_sets,
    peak_buffers,
    totals,
    whole_matrices,
)
from modelweave.recipes.planning.in_memory import plan_members
from modelweave.recipes.planning.planned import PlannedCheckpoint, plan_documents

from ..helpers import llama, planned, tensor

STACK = """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [3, 4]}]
"""


def test_rows_and_totals_by_hand():
    plan = planned(STACK, llama("a"), llama("b"))
    rows = {(row.name, row.layers): row for row in output_rows(plan)}
    row = rows["model.layers.*.self_attn.q_proj.weight", "0-1"]
    assert (row.count, row.shape, row.dtype, row.method, row.inputs, row.bytes) == (2, (4, 4), "BF16", "passthrough", ("a",), 64)
    assert rows["model.layers.*.self_attn.q_proj.weight", "2"].inputs == ("b",)
    summary = totals(plan)
    # embedding and head 2 x 32 x 4, norm 4, three layers of 4 + 16 + 16
    parameters = 2 * 128 + 4 + 3 * 36
    assert (summary.outputs, summary.merged, summary.copied, summary.parameters) == (12, 12, 0, parameters)
    assert summary.bytes_read == summary.bytes_written == 2 * parameters
    # the largest: 128 values, one input and the output in float32
    assert summary.peak == 128 * 4 * 2 and peak_buffers(plan, 100) == 100
    assert dropped_rows(plan.dropped)[0] == ("layers of 'b' that are in no slice", 9, "b: model.layers.0.input_layernorm.weight")
    assert summary.dropped == sum(count for _, count, _ in dropped_rows(plan.dropped)) == 9 + 6 + 1 + 2


def test_whole_matrices_are_counted_and_warned_of():
    text = "merge_method: tsv_m\nbase_model: base\nmodels: [{model: a}, {model: b}]\n"
    plan = planned(text, *(llama(name, rows=1 << 16) for name in ("base", "a", "b")))
    need = (14 + 12 * 2) * (1 << 16) * 4 * 4  # the embedding, 65,536 x 4, in float32
    assert totals(plan, 1 << 20).peak == need
    assert "tsv_m needs whole matrices, about 39.8 MB" in whole_matrices(plan, 1 << 20)
    assert whole_matrices(plan, 1 << 30) is None
    assert whole_matrices(planned(STACK, llama("a"), llama("b")), 1) is None


def test_input_rows():
    base = llama(
        "base", config={"architectures": ["LlamaForCausalLM"]}, files={"tokenizer.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"}
    )
    text = "merge_method: ties\nbase_model: base\nmodels: [{model: a}]\nparameters: {weight: 1}\n"
    one, two = input_rows(planned(text, base, llama("a")))
    assert (one.label, one.role, one.tensors, one.vocabulary, one.tokenizer, one.licence) == ("base", "base", 15, 32, True, "mit")
    assert (one.parameters, one.bytes, one.dtypes, one.architecture) == (404, 808, ("BF16",), "LlamaForCausalLM")
    assert (two.role, two.tokenizer, two.architecture) == ("model", False, "llama")


def test_everything_fits_json():
    text = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: [1e-1, 2]}\n"
    data = json.loads(json.dumps(as_dict(planned(text, llama("a"), llama("b")))))
    assert data["recipe"]["parameters"] == {"weight": ["1e-1", 2]} and data["totals"]["outputs"] == 15


TWO = """
name: half
merge_method: linear
models: [{model: a}, {model: b}]
parameters: {weight: 1}
dtype: float32
---
merge_method: passthrough
slices:
  - sources: [{model: half, layer_range: [0, 4]}]
  - sources: [{model: a, layer_range: [1, 4]}]
"""


def test_documents_that_use_earlier_ones_are_planned_from_headers():
    opened = {"a": llama("a"), "b": llama("b")}
    first, second = plan_documents(parse_recipe(TWO), opened=opened)
    assert second.donor.label == "half" and second.config["num_hidden_layers"] == 7
    assert tensor(second, "model.layers.3.self_attn.q_proj.weight").dtype == "F32"
    with pytest.raises(CheckpointError, match="belongs to a result that is not merged yet"):
        PlannedCheckpoint(first, "half")["model.norm.weight"].read()
    with pytest.raises(CheckpointError, match="'half' is the result of another document of the recipe, which is not merged yet"):
        build_plan(parse_recipe(TWO)[1], opened=opened)


def test_seeds():
    text = "merge_method: linear\nmodels: [{model: a}]\nparameters: {weight: 1}\n"
    assert planned(text, llama("a")).seed == 0
    assert planned(text + "seed: 4", llama("a")).seed == 4
    assert planned(text + "seed: 4", llama("a"), seed=0).seed == 0


def test_members_in_memory():
    base, a, b = llama("base"), llama("m"), llama("m")
    plan = plan_members([a, b], method="ties", base=base, parameters={"density": np.float32(0.5)}, per_model=[{"weight": 1}, {"weight": 2}])
    one = tensor(plan, "model.norm.weight")
    assert one.base is base["model.norm.weight"] and one.inputs == (a["model.norm.weight"], b["model.norm.weight"])
    assert one.per_input == ({"weight": 1.0, "density": 0.5}, {"weight": 2.0, "density": 0.5})
    slerp = tensor(plan_members([a, b], method="slerp", base=a, parameters={"t": 0.25}, dtype="float32"), "model.norm.weight")
    assert slerp.base is None and slerp.inputs == (a["model.norm.weight"], b["model.norm.weight"]) and slerp.dtype == "F32"
    with pytest.raises(RecipeError, match="expected parameters for 2 models, got 1"):
        plan_members([a, b], method="linear", per_model=[{}])
    with pytest.raises(ModelweaveError, match="merge: missing: expected 'error'"):
        plan_members([a, b], method="linear", parameters={"weight": 1}, missing="no")


def test_schema_names_methods_and_parameters():
    schema = recipe_schema()
    json.dumps(schema)
    assert schema["properties"]["merge_method"]["enum"] == sorted(METHODS)
    known = schema["$defs"]["Parameters"]["properties"]
    assert {"density", "weight", "lambda", "t"} <= set(known)
    assert "ties: " in known["density"]["description"]
    assert set(schema["$defs"]["slerp parameters"]["properties"]) == {"t"}
    assert schema["additionalProperties"] is False and "include" in schema["properties"]
    assert all("description" in entry for entry in schema["properties"].values())


MEMBERS = "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]\n"
VALID = {
    "names alone": "merge_method: uniform_soup\nmodels: [a, b]\n",
    "nulls": "merge_method: linear\npreset: null\ntokenizer_source: null\ntokenizer: null\n" + MEMBERS,
    "nulls inside": "merge_method: linear\nmodels: [{model: {model: {path: a, revision: null}, lora: null}, parameters: {weight: 1}}]\n",
    "tokens": "merge_method: linear\ntokenizer: {tokens: {t: {source: {kind: zero}}, u: null, v: {source: null}}}\n" + MEMBERS,
    "numbers where text belongs": "merge_method: uniform_soup\nmodels: [{model: {model: {path: a, revision: 1}}}]\n",
    "text where numbers belong": "merge_method: linear\nmodels: [{model: a, parameters: {weight: '1_0'}}]\n"
    "tokenizer: {tokens: {t: {source: {kind: model_token, model: a, token_id: '5'}}}}\n",
    "an override of parameters alone": "merge_method: linear\noverrides: [{filter: mlp, merge_method: null, parameters: {weight: 2}}]\n"
    + MEMBERS,
    "numbers as text": "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1e-1}}]\n",
    "include": "include: other.yml\nparameters: {density: 0.5}\n",
    "an empty form beside a full one": "merge_method: linear\nslices: []\n" + MEMBERS,
    "overrides": "merge_method: linear\nbase_model: c\noverrides: [{filter: mlp, merge_method: ties, parameters: {density: 0.2}}]\n"
    + MEMBERS,
}
INVALID = {
    "dtype": "merge_method: linear\ndtype: bf16\n" + MEMBERS,
    "two forms": "merge_method: linear\nslices: [{sources: [{model: a, layer_range: [0, 1]}]}]\n" + MEMBERS,
    "two tokenizers": "merge_method: linear\ntokenizer_source: union\ntokenizer: {}\n" + MEMBERS,
    "text as weight": "merge_method: linear\nmodels: [{model: a, parameters: {weight: high}}]\n",
    "text as flag": "merge_method: linear\nparameters: {normalize: maybe}\n" + MEMBERS,
    "out of range": "merge_method: ties\nbase_model: c\nmodels: [{model: a, parameters: {density: 2}}]\n",
    "another method's, in a model": "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1, density: 1}}]\n",
    "kind": "merge_method: linear\ntokenizer: {tokens: {t: {source: {kind: modle_token, model: a, token: b}}}}\n" + MEMBERS,
    "model_token without a token": "merge_method: linear\ntokenizer: {tokens: {t: {source: {kind: model_token, model: a}}}}\n" + MEMBERS,
    "no base": "merge_method: ties\nmodels: [{model: a}]\n",
    "policy without a base": "merge_method: linear\nmissing: base\n" + MEMBERS,
    "preset of another": "merge_method: linear\npreset: fusionbench\n" + MEMBERS,
    "unknown key of a path": "merge_method: linear\nmodels: [{model: {model: {path: a, rev: b}}, parameters: {weight: 1}}]\n",
    "no form": "merge_method: linear\n",
    "no models": "merge_method: uniform_soup\nmodels: []\n",
    "a model without a name": "merge_method: uniform_soup\nmodels: ['']\n",
    "a base of none": "merge_method: ties\nmodels: [{model: a}]\nbase_model: null\n",
    "unknown key": STACK + "x: 1",
    "unknown parameter": STACK + "parameters: {t: 1}",
    "unknown method": STACK.replace("passthrough", "pasthrough"),
    "unknown policy": STACK + "missing: no",
}


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def is_accepted(text: str) -> bool:
    try:
        for document in parse_recipe(text):
            _checked(document, METHODS)
    except ModelweaveError:
        return False
    return True


@pytest.mark.parametrize("name", VALID)
def test_the_schema_takes_what_is_taken(validator, name):
    assert is_accepted(VALID[name]) or name == "include"
    assert list(validator.iter_errors(yaml.safe_load(VALID[name]))) == []


@pytest.mark.parametrize("name", INVALID)
def test_the_schema_refuses_what_is_refused(validator, name):
    assert not is_accepted(INVALID[name])
    assert list(validator.iter_errors(yaml.safe_load(INVALID[name])))


def test_the_schema_takes_the_examples(validator):
    for text in (STACK, *EXAMPLES.values()):
        assert list(validator.iter_errors(yaml.safe_load(text))) == []


# In mergekit's repository, folder examples: the forms that those recipes use, with other models.
EXAMPLES = {
    "fusion": "models:\n  - model: a\n  - model: b\nmerge_method: arcee_fusion\nbase_model: a\ndtype: bfloat16\n",
    "three": """
models:
  - {model: org/a, parameters: {density: [1, 0.7, 0.1], weight: 1.0}}
  - {model: org/b, parameters: {density: 0.5, weight: [0, 0.3, 0.7, 1]}}
  - {model: org/c, parameters: {density: 0.33, weight: [{filter: mlp, value: 0.5}, {value: 0}]}}
merge_method: ties
base_model: org/base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "slerp": """
slices:
  - sources: [{model: org/a, layer_range: [0, 40]}, {model: org/b, layer_range: [0, 40]}]
merge_method: slerp
base_model: org/a
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - {value: 0.5}
dtype: float16
""",
    "stack": """
slices:
  - sources: [{model: org/a, layer_range: [0, 24]}]
  - sources: [{model: org/b, layer_range: [20, 40]}]
merge_method: passthrough
dtype: float16
""",
    "linear": """
models:
  - {model: a, parameters: {weight: 1.0}}
  - {model: b, parameters: {weight: 0.3}}
merge_method: linear
dtype: float16
""",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_forms_of_mergekits_examples_plan_without_complaint(name):
    (document,) = parse_recipe(EXAMPLES[name])
    plan = build_plan(document, opened={r.label: llama(r.label, 40) for r in document.references})
    assert plan.warnings == ()
    assert {t.dtype for t in plan.tensors} == {"BF16" if name == "fusion" else "F16"}
    if name == "slerp":
        q, mlp, norm = (
            tensor(plan, f"model.layers.39.{w}.weight").shared["t"] for w in ("self_attn.q_proj", "mlp.down_proj", "input_layernorm")
        )
        assert (q, mlp, norm) == (1, 0, 0.5)
    if name == "three":
        one = tensor(plan, "model.layers.39.self_attn.q_proj.weight")
        assert [v["density"] for v in one.per_input] == pytest.approx([0.1, 0.5, 0.33])
        assert [v["weight"] for v in one.per_input] == [1, 1, 0]
    if name == "stack":
        assert plan.config["num_hidden_layers"] == 44
        assert tensor(plan, "model.layers.24.mlp.down_proj.weight").inputs[0].name == "model.layers.20.mlp.down_proj.weight"


def test_a_document_that_nothing_uses_is_warned_of():
    text = "name: x\nmerge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n---\n"
    plans = plan_documents(parse_recipe(text + text.removesuffix("---\n").replace("name: x\n", "")), opened={"a": llama("a")})
    assert plans[0].warnings[-1] == "document 'x' is not used for the last one and is not merged"


def test_parameters_as_resolved():
    text = "merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {density: [1, 0.4], weight: 2}\n"
    plan = planned(text, llama("base", 2), llama("a", 2), llama("b", 2))
    sets, place = parameter_sets(plan.tensors)
    assert [s["models"][0]["density"] for s in sets] == [1, 0.4]
    assert sets[place["model.layers.1.mlp.down_proj.weight"]]["models"][1] == {"model": "b", "weight": 2.0, "density": 0.4}
    assert as_dict(plan)["parameters"] == sets
