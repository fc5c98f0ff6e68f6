"""Plans from headers: who goes into which output, with which values, and what becomes of every input tensor."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest

from modelweave.catalog import METHODS
from modelweave.checkpoints.ties import tied_heads
from modelweave.errors import CompatibilityError, ParameterError, RecipeError
from modelweave.recipes.planning.plan import Plan
from modelweave.recipes.planning.slice_ends import goes_first
from modelweave.row import Parameter
from modelweave.weights.method import Method, Needs

from ..helpers import ArrayRef, Fake, llama, planned, tensor

TIES = """
merge_method: ties
base_model: base
models:
  - {model: a, parameters: {density: 0.5, weight: 1}}
  - {model: b, parameters: {weight: 0.25}}
"""
LINEAR = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"
Q = "model.layers.{}.self_attn.q_proj.weight"


def reached(plan: Plan) -> set[str]:
    return {ref.name for t in plan.tensors for ref in t.sources}


# --- parameters -----------------------------------------------------------------------------------------------------


def test_levels_and_defaults():
    plan = planned(TIES + "parameters: {density: 0.8, normalize: 0}\n", llama("base"), llama("a"), llama("b"))
    one = tensor(plan, Q.format(1))
    assert one.method is METHODS["ties"]
    assert (one.labels, one.members) == (("a", "b"), (0, 1))
    assert one.per_input == ({"weight": 1.0, "density": 0.5}, {"weight": 0.25, "density": 0.8})
    plain = {"normalize": False, "rescale": False, "scale": 1.0, "int8_mask": False}
    assert one.shared == plain | {"scope": "tensor", "trim": "exact", "votes": "weighted", "zero_sign": "plus", "divisor": "weights"}
    assert (one.layer, one.layers) == (1, 4)
    assert plan.checkpoints[0].label == "base" and plan.donor.label == "base"


def test_source_over_slice_over_document_and_filters_fall_through():
    plan = planned(
        """
merge_method: linear
slices:
  - sources:
      - {model: a, layer_range: [0, 2], parameters: {weight: [{filter: q_proj, value: 1}]}}
      - {model: b, layer_range: [0, 2]}
    parameters: {weight: [{filter: mlp, value: 2}]}
  - sources:
      - {model: a, layer_range: [2, 4]}
      - {model: b, layer_range: [2, 4]}
parameters: {weight: 3}
""",
        llama("a"),
        llama("b"),
    )

    def weights(name: str) -> list[float]:
        return [values["weight"] for values in tensor(plan, name).per_input]

    assert weights(Q.format(0)) == [1, 3]
    assert weights("model.layers.0.mlp.down_proj.weight") == [2, 2]
    assert weights("model.layers.0.input_layernorm.weight") == [3, 3]
    assert weights("model.layers.2.mlp.down_proj.weight") == [3, 3]


def test_gradient_runs_over_the_layers_and_starts_outside_them():
    text = "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\nparameters: {t: [0.1, 0.5, 0.9]}\n"
    plan = planned(text, llama("a", 5), llama("b", 5))
    assert [tensor(plan, Q.format(i)).shared["t"] for i in range(5)] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert tensor(plan, "model.embed_tokens.weight").shared["t"] == 0.1
    assert tensor(plan, "lm_head.weight").shared["t"] == 0.1
    single = planned(text, llama("a", 1), llama("b", 1))
    assert tensor(single, Q.format(0)).shared["t"] == 0.9


def test_shared_filters_see_the_output_name_and_members_their_own():
    plan = planned(
        """
merge_method: linear
slices:
  - sources: [{model: a, layer_range: [0, 1]}]
  - sources: [{model: b, layer_range: [3, 4]}]
parameters:
  weight: [{filter: layers.3., value: 5}, {value: 1}]
  normalize: [{filter: layers.1., value: false}, {value: true}]
""",
        llama("a"),
        llama("b"),
    )
    second = tensor(plan, Q.format(1))
    assert second.inputs[0].name == Q.format(3)
    assert second.per_input[0]["weight"] == 5
    assert second.shared["normalize"] is False


def test_module_parameters_lie_between_slice_and_document():
    plan = planned(
        """
merge_method: linear
modules:
  default:
    models: [{model: a}, {model: b, parameters: {weight: 7}}]
    parameters: {weight: 2}
parameters: {weight: 1}
""",
        llama("a"),
        llama("b"),
    )
    assert [v["weight"] for v in tensor(plan, "model.norm.weight").per_input] == [2, 7]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TIES + "parameters: {densty: 1}", "parameters: unknown parameter of ties 'densty'; did you mean 'density'?"),
        (TIES + "parameters: {density: 0}", "parameters: density must be a number above 0 and at most 1, got 0"),
        (TIES + "parameters: {density: 1.5}", "got 1.5"),
        (TIES + "parameters: {density: -0.1}", "got -0.1"),
        (TIES + "parameters: {density: [0.5, {filter: a, value: 1}]}", "expected a value, a list of values"),
        (TIES + "parameters: {density: [1, 0.5, 0]}", "got 0"),
        (TIES + "parameters: {density: [{filter: nothing, value: 2}, {value: 1}]}", "got 2"),
        (TIES.replace("0.25", ".nan"), r"models\[1\].parameters \('b'\): weight must be a number, got nan"),
        (
            "merge_method: slerp\nbase_model: a\nmodels: [{model: b}]",
            r"recipe: slerp needs t \(a number\).*add it to the recipe's parameters",
        ),
        (TIES.replace("ties", "della").replace("0.5", "0.9"), r"models\[0\] \('a'\): della: density - epsilon"),
        (TIES + "parameters: {scale: 1, lambda: 2}", "scale and lambda are the same parameter"),
        (TIES.replace("ties", "tise"), "merge_method: unknown method 'tise'; did you mean 'ties'"),
        (TIES + "preset: best", "unknown preset 'best', ties has mergekit, paper"),
        (TIES + "chat_template: chatlm", "unknown chat_template 'chatlm'; did you mean 'chatml'"),
        (LINEAR + "missing: base", "missing: 'base' needs a base; add base_model"),
        (LINEAR.replace("b}", "a}"), r"models\[1\]: 'a' is listed twice"),
        (
            LINEAR + "overrides: [{filter: mlp, parameters: {density: 1}}]",
            r"overrides\[0\].parameters: unknown parameter of linear 'density'",
        ),
        (LINEAR + "overrides: [{filter: mlp, merge_method: lin}]", r"overrides\[0\].merge_method: unknown method 'lin'"),
        (LINEAR + "overrides: [{filter: mlp, models: [{model: c}]}]", r"overrides\[0\].models\[0\]: unknown model 'c'"),
        (
            "merge_method: arcee_fusion\nbase_model: a\nmodels: [{model: b}]\nparameters: {t: 1}",
            "arcee_fusion takes no parameters, got 't'",
        ),
    ],
)
def test_bad_values_and_words(text, sentence):
    with pytest.raises((RecipeError, ParameterError), match=sentence):
        planned(text, llama("base"), llama("a"), llama("b"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TIES.replace("base_model: base", ""), "models: ties compares the models with a base, none is given; add base_model"),
        (
            "merge_method: slerp\nbase_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0}",
            r"slerp takes 1 model beside base_model, got 2 \(a, b\)",
        ),
        (
            "merge_method: model_stock\nbase_model: base\nmodels: [{model: a}]",
            r"model_stock takes at least 2 models beside base_model, got 1 \(a\); list more",
        ),
        ("merge_method: passthrough\nmodels: [{model: a}, {model: b}]", r"passthrough takes 1 model, got 2 \(a, b\); list fewer"),
        ("merge_method: slerp\nbase_model: base\nmodels: [{model: base}]\nparameters: {t: 0}", r"got 0 \(none\)"),
    ],
)
def test_bases_and_numbers_of_members_are_checked_before_anything_is_opened(text, sentence):
    with pytest.raises(CompatibilityError, match=sentence):
        planned(text)


def test_settings_without_effect_are_mentioned():
    plan = planned(
        TIES.replace("weight: 1}", "weight: 1, normalize: true}").replace("models:", "models:\n  - {model: base, parameters: {weight: 1}}")
        + "parameters: {rescale: [{filter: mpl, value: true}, {value: false}]}\noverrides: [{filter: nothing, parameters: {density: 1}}]\n",
        llama("base"),
        llama("a"),
        llama("b"),
    )
    assert len(plan.warnings) == 4
    for words in (
        "normalize is one value for all",
        "weight has no effect for base_model 'base'",
        "'mpl' matches no",
        "'nothing' matches no",
    ):
        assert any(words in warning for warning in plan.warnings)


# --- members and base -----------------------------------------------------------------------------------------------


def test_a_base_is_an_ordinary_member_where_no_deltas_are_taken():
    plan = planned(LINEAR + "base_model: base", llama("base"), llama("a"), llama("b"))
    one = tensor(plan, "model.norm.weight")
    assert (one.base, one.labels, one.members) == (None, ("a", "b", "base"), (0, 1, 2))


def test_a_listed_base_changes_nothing_for_the_others():
    listed = TIES.replace("models:", "models:\n  - {model: base}")
    one, two = (tensor(planned(t, llama("base"), llama("a"), llama("b")), Q.format(0)) for t in (TIES, listed))
    assert (one.labels, one.members, one.per_input) == (two.labels, two.members, two.per_input)
    assert one.base is not None and two.base is not None


def test_an_optional_base_may_be_absent():
    text = "merge_method: nuslerp\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"
    assert tensor(planned(text, llama("a"), llama("b")), Q.format(0)).base is None
    assert tensor(planned(text + "base_model: base", llama("a"), llama("b"), llama("base")), Q.format(0)).base is not None


def test_overrides_by_part_of_a_name_and_by_pattern():
    plan = planned(
        TIES
        + """
overrides:
  - {filter: "model.layers.[01].mlp*", merge_method: task_arithmetic, parameters: {weight: 0.5}}
  - {filter: mlp, parameters: {density: [0.2, 0.4]}}
  - {filter: lm_head, merge_method: passthrough, models: [{model: a, parameters: {scale: 2}}]}
  - {filter: norm, merge_method: uniform_soup}
  - {filter: embed, merge_method: linear, models: [{model: base, parameters: {weight: 1}}, {model: b}], parameters: {weight: 3}}
""",
        llama("base"),
        llama("a"),
        llama("b"),
    )
    first, third = tensor(plan, "model.layers.1.mlp.down_proj.weight"), tensor(plan, "model.layers.3.mlp.down_proj.weight")
    assert (first.method.name, [v["weight"] for v in first.per_input]) == ("task_arithmetic", [0.5, 0.5])
    assert (third.method.name, [v["density"] for v in third.per_input]) == ("ties", [0.4, 0.4])
    assert tensor(plan, Q.format(0)).method.name == "ties"
    head = tensor(plan, "lm_head.weight")
    assert (head.method.name, head.labels, head.per_input, head.base) == ("passthrough", ("a",), ({"scale": 2.0},), None)
    assert tensor(plan, "model.norm.weight").labels == ("a", "b")
    embed = tensor(plan, "model.embed_tokens.weight")
    assert (embed.labels, [v["weight"] for v in embed.per_input]) == (("b", "base"), [3, 1])
    assert plan.dropped["b: lm_head.weight"] == "takes no part in overrides[2]"


def test_a_member_without_a_required_value():
    weight = Parameter("weight", "float", scope="input")
    row = Method("mine", "Mine", "x", "here", combine=len, parameters=(weight,), needs=Needs("input", 2))
    text = "merge_method: mine\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: {filter: mlp, value: 1}}}]"
    with pytest.raises(
        ParameterError,
        match=r"^models\[1\] \('b'\): mine needs weight \(a number\), none is given for model.embed_tokens.weight; add it to the model's",
    ):
        planned(text, llama("a"), llama("b"), methods={"mine": row})


def test_a_row_of_ones_own():
    row = Method("mine", "Mine", "x", "here", combine=len, parameters=(Parameter("k", "int", 3),), needs=Needs("input", 2))
    plan = planned("merge_method: mine\nmodels: [{model: a}, {model: b}]", llama("a"), llama("b"), methods={"mine": row})
    assert tensor(plan, "model.norm.weight").shared == {"k": 3}


# --- slices and modules ---------------------------------------------------------------------------------------------


def test_stacking_renumbers_layers_and_patches_the_config():
    plan = planned(
        """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources: [{model: b, layer_range: [1, 4], parameters: {scale: [0.5, 1]}}]
  - sources: [{model: b, layer_range: [3, 4]}]
out_dtype: float32
""",
        llama("a", config={"layer_types": ["a0", "a1", "a2", "a3"]}),
        llama("b", config={"layer_types": ["b0", "b1", "b2", "b3"]}),
    )
    sources = [(tensor(plan, Q.format(i)).labels[0], tensor(plan, Q.format(i)).inputs[0].name) for i in range(7)]
    assert sources == [("a", Q.format(i)) for i in (0, 1, 2)] + [("b", Q.format(i)) for i in (1, 2, 3, 3)]
    assert [tensor(plan, Q.format(i)).per_input[0]["scale"] for i in range(7)] == [None, None, None, 0.5, 0.75, 1.0, None]
    assert tensor(plan, "model.embed_tokens.weight").labels == ("a",)
    assert tensor(plan, "model.norm.weight").labels == tensor(plan, "lm_head.weight").labels == ("b",)
    assert plan.config["num_hidden_layers"] == 7
    assert plan.config["layer_types"] == ["a0", "a1", "a2", "b1", "b2", "b3", "b3"]
    assert plan.config["torch_dtype"] == "float32" and {t.dtype for t in plan.tensors} == {"F32"}
    assert {(t.layer, t.layers) for t in plan.tensors if "q_proj" in t.name} == {(i, 7) for i in range(7)}
    assert plan.dropped["b: " + Q.format(0)] == "layer 0 of 'b' is in no slice"
    assert plan.dropped["a: lm_head.weight"] == "comes from the models of the last slice"


def test_the_same_model_twice_in_a_slice_has_two_random_streams():
    plan = planned(
        """
merge_method: dare_linear
base_model: base
slices:
  - sources:
      - {model: a, layer_range: [0, 2]}
      - {model: a, layer_range: [2, 4]}
      - {model: base, layer_range: [0, 2]}
parameters: {weight: 0.5}
""",
        llama("base"),
        llama("a"),
    )
    one = tensor(plan, Q.format(1))
    assert [ref.name for ref in one.sources] == [Q.format(1), Q.format(1), Q.format(3)]
    assert len(set(one.members)) == 2


def test_the_base_of_equal_ranges_is_understood_and_of_unequal_ones_asked_for():
    text = """
merge_method: ties
base_model: base
slices: [{sources: [{model: a, layer_range: [1, 3]}, {model: b, layer_range: [%s]}]}]
parameters: {weight: 1}
"""
    plan = planned(text % "1, 3", llama("base"), llama("a"), llama("b"))
    assert tensor(plan, Q.format(0)).base.name == Q.format(1)
    with pytest.raises(
        RecipeError, match="the sources have different layers, so those of base_model 'base' are unclear; add it to sources"
    ):
        planned(text % "0, 2", llama("base"), llama("a"), llama("b"))


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ((llama("a"), llama("b", 6)), "model 'b' has 6 layers in model.layers, model 'a' has 4; merge models of equal depth"),
        (
            (llama("a"), llama("b", rows=40)),
            "model 'b': model.embed_tokens.weight is 40 x 4, model 'a' has 32 x 4; set tokenizer.source to 'union' or 'base'",
        ),
        (
            (llama("a"), llama("b", width=8)),
            "model 'b': model.embed_tokens.weight is 32 x 8, model 'a' has 32 x 4; merge models of one architecture",
        ),
        (
            (llama("a"), llama("b", drop=("model.norm.weight",))),
            "model 'b': model.norm.weight is missing, model 'a' has it; set missing to",
        ),
        ((llama("a"), llama("b", extra={"q_norm": ((4,), "BF16")})), "model 'a': q_norm is missing, model 'b' has it"),
    ],
)
def test_inputs_that_do_not_fit(models, sentence):
    with pytest.raises(CompatibilityError, match=sentence):
        planned(LINEAR, *models)


def test_the_base_is_called_the_base():
    with pytest.raises(CompatibilityError, match=r"model 'b': model.embed_tokens.weight is 40 x 4, base has 32 x 4; set tokenizer.source"):
        planned(TIES, llama("base"), llama("a"), llama("b", rows=40))


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("[{model: a, layer_range: [2, 5]}]", r"slices\[0\].sources\[0\]: layer_range \[2, 5\] goes past the end, model 'a' has 4 layers"),
        ("[{model: c, layer_range: [0, 2]}]", r"expected layers 'model.layers.N' in model 'c', it has h"),
    ],
)
def test_slices_that_do_not_fit(sources, sentence):
    other = Fake("c", {f"h.{i}.w": llama("x")["model.norm.weight"] for i in range(3)})
    with pytest.raises(CompatibilityError, match=sentence):
        planned(f"merge_method: passthrough\nbase_model: a\nslices: [{{sources: {sources}}}]", llama("a"), other)


def vision(label: str, layers: int = 3) -> Fake:
    blocks = {f"model.visual.blocks.{i}.w": ((4,), "BF16") for i in range(layers)} | {"model.visual.patch_embed.w": ((4,), "BF16")}
    config = {"text_config": {"num_hidden_layers": 4}, "vision_config": {"depth": layers}, "num_hidden_layers": None}
    return llama(label, extra={**blocks, "projector.w": ((2,), "BF16")}, config=config)


def test_modules_have_depths_of_their_own_and_the_rest_is_copied():
    plan = planned(
        """
merge_method: linear
modules:
  model.visual:
    slices:
      - sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [1, 3]}]
      - sources: [{model: b, layer_range: [1, 3]}]
  model.layers:
    models: [{model: a}, {model: b}]
parameters: {weight: 1}
""",
        vision("a"),
        vision("b"),
    )
    assert [tensor(plan, f"model.visual.blocks.{i}.w").labels for i in range(4)] == [("a", "b")] * 2 + [("b",)] * 2
    assert tensor(plan, "model.visual.patch_embed.w").labels == ("a", "b")
    assert tensor(plan, Q.format(3)).labels == ("a", "b")
    copied = tensor(plan, "projector.w")
    assert copied.method is None and copied.reason == "outside the recipe's modules; copied from 'a'"
    assert plan.dropped["b: projector.w"] == "outside the recipe's modules, taken from 'a'"
    assert plan.config["vision_config"]["depth"] == 4 and plan.config["text_config"]["num_hidden_layers"] == 4
    with pytest.raises(
        CompatibilityError, match=r"modules.audio: no tensor name holds 'audio'; stacks of layers in 'a': model.layers, model.visual"
    ):
        planned(LINEAR.replace("models:", "modules: {audio: {models:").replace("}]\n", "}]}}\n"), vision("a"), vision("b"))


def test_the_head_goes_with_the_decoder():
    names = [f"{side}.block.{i}.w" for side in ("encoder", "decoder") for i in range(3)] + ["shared.weight", "lm_head.weight"]
    one = llama("x")["model.norm.weight"]
    a, b = (Fake(label, dict.fromkeys(names, one), config={"num_layers": 3, "num_decoder_layers": 3}) for label in "ab")
    text = """
merge_method: passthrough
modules:
  encoder: {models: [{model: a}]}
  decoder: {slices: [{sources: [{model: a, layer_range: [0, 2]}]}, {sources: [{model: b, layer_range: [0, 3]}]}]}
"""
    plan = planned(text, a, b)
    assert tensor(plan, "lm_head.weight").labels == ("b",) and tensor(plan, "lm_head.weight").method is not None
    assert tensor(plan, "shared.weight").method is None
    assert plan.config == {"num_layers": 3, "num_decoder_layers": 5}
    with pytest.raises(CompatibilityError, match=r"slices need one stack of layers, found encoder.block .3 layers., decoder.block"):
        planned("merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 2]}]}]", a)


def test_one_recipe_over_several_stacks_gives_each_its_gradient():
    text = LINEAR.replace("weight: 1", "weight: [1, 3]")
    plan = planned(text, vision("a"), vision("b"))
    assert [tensor(plan, f"model.visual.blocks.{i}.w").per_input[0]["weight"] for i in range(3)] == [1, 2, 3]
    assert tensor(plan, Q.format(3)).per_input[0]["weight"] == 3


def test_weights_that_cannot_be_normalized_are_found_while_planning():
    with pytest.raises(ParameterError, match=r"model\.embed_tokens\.weight: linear: the weights sum to 0"):
        planned(LINEAR.replace("weight: 1", "weight: 0"), llama("a"), llama("b"))


def test_outputs_stand_in_the_donors_order_with_layers_by_number():
    names = [t.name for t in planned(LINEAR, llama("a", 12), llama("b", 12)).tensors]
    assert names == list(llama("a", 12))
    shuffled = llama("a", 12)
    shuffled._tensors = dict(sorted(shuffled._tensors.items()))
    names = [t.name for t in planned(LINEAR, shuffled, llama("b", 12)).tensors]
    assert names[0] == "lm_head.weight"
    assert [n for n in names if "q_proj" in n] == [Q.format(i) for i in range(12)]


# --- ties, buffers, policies ----------------------------------------------------------------------------------------

TIED = {"config": {"tie_word_embeddings": True}, "head": False}


def test_tied_models_stay_tied():
    plan = planned(LINEAR, llama("a", **TIED), llama("b", config={"tie_word_embeddings": True}))
    assert "lm_head.weight" not in [t.name for t in plan.tensors]
    assert plan.dropped == {"b: lm_head.weight": "tied to model.embed_tokens.weight in 'a'"}
    assert plan.config["tie_word_embeddings"] is True


def test_a_tied_member_lends_its_embedding_to_an_untied_donor():
    other = llama("b", head=False, aliases={"lm_head.weight": "model.embed_tokens.weight"})
    for member in (other, llama("b", **TIED)):
        plan = planned(LINEAR, llama("a"), member)
        assert [ref.name for ref in tensor(plan, "lm_head.weight").inputs] == ["lm_head.weight", "model.embed_tokens.weight"]
        assert any("ties lm_head.weight to model.embed_tokens.weight" in warning for warning in plan.warnings)
        assert plan.dropped == {}


def test_an_untied_member_of_a_tied_donor_needs_a_policy():
    donor, member = llama("a", **TIED), llama("b")
    with pytest.raises(
        CompatibilityError, match=r"model 'b': lm_head.weight is stored on its own, 'a' ties it to model.embed_tokens.weight"
    ):
        planned(LINEAR, donor, member)
    untied = planned(LINEAR + "missing: union", donor, member)
    assert tensor(untied, "lm_head.weight").labels == ("a", "b")
    assert untied.config["tie_word_embeddings"] is False
    kept = planned(LINEAR + "missing: base\nbase_model: a", donor, member)
    assert kept.dropped == {"b: lm_head.weight": "tied to model.embed_tokens.weight in 'a'"}
    assert any("its own lm_head.weight is left out" in warning for warning in kept.warnings)


def test_buffers_and_whole_numbers_come_from_the_base():
    extra = {"bn.running_mean": ((4,), "F32"), "bn.num_batches_tracked": ((), "I64"), "table": ((3,), "U8"), "named": ((2,), "F16")}
    models = [llama(label, extra=extra, buffers=frozenset({"named"})) for label in ("a", "b", "base")]
    plan = planned(TIES + "dtype: float32", *models)
    for name, dtype, reason in [
        ("bn.running_mean", "F32", "a buffer, not a parameter"),
        ("bn.num_batches_tracked", "I64", "I64 values are not averaged"),
        ("table", "U8", "U8 values are not averaged"),
        ("named", "F16", "a buffer, not a parameter"),
    ]:
        one = tensor(plan, name)
        assert (one.method, one.dtype, one.labels, one.reason) == (None, dtype, ("base",), f"{reason}; copied from 'base'")
    assert tensor(planned(LINEAR, *models[:2]), "table").labels == ("a",)


def test_quantised_members_are_no_buffers():
    packed = llama("b", extra={"model.norm.weight": ((2,), "U8")})
    with pytest.raises(CompatibilityError, match=r"model 'b': model.norm.weight holds U8, model 'a' has BF16; save a quantised model"):
        planned(LINEAR, llama("a"), packed)


@pytest.mark.parametrize("other", ["default: {models: [{model: a}]}", "model.layers: {models: [{model: a}]}"])
def test_modules_may_not_overlap(other):
    text = f"merge_method: passthrough\nmodules: {{'': {{slices: [{{sources: [{{model: a, layer_range: [0, 2]}}]}}]}}, {other}}}"
    with pytest.raises(CompatibilityError, match="mean the same tensors; keep one"):
        planned(text, llama("a"))


def test_missing_policies():
    base, a, b = llama("base"), llama("a", drop=("model.norm.weight",)), llama("b", extra={"q_norm": ((4,), "BF16")})
    plan = planned(TIES + "missing: base", base, a, b)
    assert tensor(plan, "model.norm.weight").reason == "missing in 'a'; copied from 'base'"
    assert plan.dropped == {"b: q_norm": "missing in 'a' (missing: base)"}
    plan = planned(TIES + "missing: intersection", base, a, b)
    assert "model.norm.weight" not in [t.name for t in plan.tensors]
    assert set(plan.dropped) == {"base: model.norm.weight", "b: model.norm.weight", "b: q_norm"}
    plan = planned(TIES + "missing: union", base, a, b)
    assert tensor(plan, "model.norm.weight").labels == ("b",) and tensor(plan, "model.norm.weight").members == (1,)
    assert tensor(plan, "q_norm").method is None and tensor(plan, "q_norm").labels == ("b",)
    assert plan.dropped == {}


def test_union_without_a_base_merges_those_that_have_it():
    text = "merge_method: linear\nmissing: union\nmodels: [{model: a}, {model: b}, {model: c}]\nparameters: {weight: 1}"
    plan = planned(text, llama("a", drop=("model.norm.weight",)), llama("b"), llama("c", extra={"x": ((1,), "F32")}))
    assert tensor(plan, "model.norm.weight").labels == ("b", "c")
    assert tensor(plan, "x").reason.startswith("missing in 'a', too few are left for linear")


def test_shapes_may_come_from_the_base():
    plan = planned(TIES + "shapes: base", llama("base"), llama("a"), llama("b", rows=40))
    one = tensor(plan, "model.embed_tokens.weight")
    assert (one.shape, one.labels) == ((32, 4), ("base",))
    assert one.reason == "'b' has 40 x 4, base has 32 x 4 (shapes: base); copied from 'base'"


def test_types():
    half = llama("a", dtype="F16")
    assert tensor(planned(LINEAR, half, llama("b", dtype="F16")), "model.norm.weight").dtype == "F16"
    mixed = planned(LINEAR, half, llama("b"))  # bfloat16, which float16 cannot hold
    assert tensor(mixed, "model.norm.weight").dtype == "F32" and mixed.config["torch_dtype"] == "float32"
    assert "the inputs have different types (BF16, F16), the result has F32" in " ".join(mixed.warnings)
    assert tensor(planned(LINEAR + "dtype: torch.bfloat16", half, llama("b")), "model.norm.weight").dtype == "BF16"
    assert tensor(planned(LINEAR + "dtype: bfloat16\nout_dtype: float64", half, llama("b")), "model.norm.weight").dtype == "F64"


@pytest.mark.parametrize("seed", range(30))
def test_every_input_tensor_is_merged_copied_or_dropped(seed):
    chance = random.Random(seed)
    extras = {"bn.running_var": ((4,), "F32"), "n": ((), "I64"), "model.layers.2.extra": ((4,), "BF16"), "x.y": ((3,), "F16")}

    def some(label: str) -> Fake:
        chosen = {k: v for k, v in extras.items() if chance.random() < 0.5}
        drop = tuple(n for n in llama("x") if chance.random() < 0.05)
        tie = {"config": {"tie_word_embeddings": True}} if chance.random() < 0.3 else {}
        return llama(label, extra=chosen, drop=drop, head=chance.random() < 0.7, **tie)

    models = [some("base"), some("a"), some("b")]
    policy = chance.choice(["base", "intersection", "union"])
    sliced = "slices:\n - sources: [{model: a, layer_range: [0, 2]}, {model: b, layer_range: [2, 4]}, {model: base, layer_range: [1, 3]}]\n"
    listed = chance.choice(["models: [{model: a}, {model: b}]\n", sliced])
    method = chance.choice(["ties", "linear", "model_stock"])
    weight = "" if method == "model_stock" else "parameters: {weight: 1}\n"
    try:
        plan = planned(f"merge_method: {method}\nbase_model: base\n{listed}{weight}missing: {policy}\n", *models)
    except CompatibilityError:
        # a layer lost all its tensors, so that the depths differ
        assert any(len(list(model)) < 14 for model in models)
        return
    names = {t.name for t in plan.tensors}
    first = {"a": 0, "b": 2, "base": 1} if listed == sliced else {"a": 0, "b": 0, "base": 0}
    passed = {
        f"{label}: {t.name.replace(f'layers.{t.layer}.', f'layers.{t.layer + first[label]}.') if t.layer is not None else t.name}"
        for t in plan.tensors
        for label in first
        if t.method is None
    }
    assert len(names) == len(plan.tensors)
    read = {id(ref) for t in plan.tensors for ref in t.sources}
    for model in models:
        for name, ref in model.items():
            key = f"{model.label}: {name}"
            assert (id(ref) in read) or key in plan.dropped or key in passed, key
            assert not (id(ref) in read and key in plan.dropped), key
    for one in plan.tensors:
        assert {ref.shape for ref in one.sources} == {one.shape}
        assert len(one.labels) == len(one.members) == len(one.inputs)
        assert one.method is None or len(one.per_input) == len(one.inputs)


def test_planning_imports_no_torch():
    code = (
        "import sys, modelweave.recipes.planning.build, modelweave.recipes.planning.describe\n"
        "import modelweave.recipes.language.load, modelweave.recipes.language.schema, modelweave.catalog\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


ENDS = """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [2, 4]}]
"""


def test_a_stack_whose_end_lacks_the_head_is_no_model():
    with pytest.raises(CompatibilityError, match=r"model 'b': lm_head\.weight is missing, model 'a' has it; set missing"):
        planned(ENDS, llama("a"), llama("b", head=False))
    plan = planned(ENDS + "missing: union", llama("a"), llama("b", head=False))
    assert tensor(plan, "lm_head.weight").labels == ("a",) and tensor(plan, "model.norm.weight").labels == ("b",)
    plan = planned(ENDS + "missing: intersection", llama("a"), llama("b", head=False))
    assert "lm_head.weight" not in {t.name for t in plan.tensors}
    plan = planned(ENDS + "missing: base\nbase_model: a", llama("a"), llama("b", head=False))
    assert tensor(plan, "lm_head.weight").labels == ("a",)


def test_constants_that_the_end_of_a_stack_lacks_are_left_out():
    plan = planned(ENDS, llama("a", extra={"model.rotary_emb.inv_freq": ((2,), "F32")}), llama("b"))
    assert tensor(plan, "model.rotary_emb.inv_freq").labels == ("a",)
    plan = planned(ENDS, llama("a", extra={"model.norm.inv_freq": ((2,), "F32")}), llama("b"))
    assert "model.norm.inv_freq" not in {t.name for t in plan.tensors}


def test_the_config_says_the_type_of_most_of_the_result():
    text = "merge_method: linear\nparameters: {weight: 1}\nmodels: [a, b]\n"
    norm = {"model.norm.weight": ((4,), "F32")}
    plan = planned(text, llama("a", extra=norm), llama("b"))
    assert plan.config["torch_dtype"] == "bfloat16" and tensor(plan, "model.norm.weight").dtype == "F32"
    assert "the inputs have different types (BF16, F32), the result has BF16, F32; set dtype to choose one" in plan.warnings
    plan = planned(text, llama("a"), llama("b", dtype="F32"))
    assert plan.config["torch_dtype"] == "float32" and {t.dtype for t in plan.tensors} == {"F32"}
    plan = planned(text, llama("a", extra=norm), llama("b", extra=norm))
    assert not any("different types" in w for w in plan.warnings)
    plan = planned(ENDS, llama("a"), llama("b", dtype="F32"))
    assert "the inputs have different types (BF16, F32), the result has BF16, F32; set dtype to choose one" in plan.warnings


def test_lists_with_an_entry_a_layer_are_put_together_and_others_stay():
    def config(first: int) -> dict[str, Any]:
        own = {"moe_topk": [first + i for i in range(4)], "swiglu_limits": [float(first + i) for i in range(4)]}
        return {**own, "eos_token_id": [1, 2, 3, 4], "bad_words_ids": [1, 2, 3, 4], "conv_dim": [8, 8, 8, 8], "hybrid_layer_ids": [1, 3]}

    plan = planned(ENDS.replace("[2, 4]", "[1, 4]"), llama("a", config=config(0)), llama("b", config=config(10)))
    assert plan.config["moe_topk"] == [0, 1, 11, 12, 13] and plan.config["swiglu_limits"] == [0, 1, 11, 12, 13]
    assert plan.config["hybrid_layer_ids"] == [1, 2, 4]
    assert plan.config["eos_token_id"] == plan.config["bad_words_ids"] == [1, 2, 3, 4] and plan.config["conv_dim"] == [8] * 4


def test_further_layers_of_the_language_part_do_not_count_as_depth():
    extra = {f"model.layers.4.{rest}": ((4, 4), "BF16") for rest in ("self_attn.q_proj.weight", "eh_proj.weight")}
    config = {"num_hidden_layers": None, "text_config": {"num_hidden_layers": 4, "num_nextn_predict_layers": 1}}
    plan = planned(ENDS, *(llama(name, extra=extra, config=config) for name in "ab"))
    assert plan.config["text_config"] == {"num_hidden_layers": 4, "num_nextn_predict_layers": 0}
    assert max(t.layer for t in plan.tensors if t.layer is not None) == 3


def test_a_config_does_not_count_further_layers_that_are_left_out():
    extra = {"model.layers.4.eh_proj.weight": ((4, 4), "BF16")}
    donor = llama("a", extra=extra, config={"num_nextn_predict_layers": 1})
    for policy, count in (("intersection", 0), ("union", 1)):
        assert planned(LINEAR + f"missing: {policy}\n", donor, llama("b")).config["num_nextn_predict_layers"] == count


def test_tensors_with_a_share_for_each_layer_allow_no_other_number_of_them():
    models = [llama(name, config={"hidden_size_per_layer_input": 8}) for name in "ab"]
    with pytest.raises(CompatibilityError, match="has hidden_size_per_layer_input, so that tensors outside .* each of 4 layers; keep"):
        planned(ENDS.replace("[2, 4]", "[1, 4]"), *models)
    assert planned(ENDS, *models).config["num_hidden_layers"] == 4


def test_a_first_layer_of_its_own_kind_that_does_not_stay_first_is_warned_of():
    models = [llama(name, extra={"model.layers.0.bias": ((4,), "BF16")}) for name in "ab"]
    words = "model.layers.0 of 'a' differs from the layers after it (bias)"
    assert not any(words in w for w in planned(ENDS, *models).warnings)
    for ranges in (("[0, 2]", "[0, 2]"), ("[1, 3]", "[2, 4]")):
        first, second = ranges
        assert any(words in w for w in planned(ENDS.replace("[0, 2]", first).replace("[2, 4]", second), *models).warnings)


@pytest.mark.parametrize(
    ("names", "head"),
    [
        (
            ["bert.embeddings.position_embeddings.weight", "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"],
            "cls.predictions",
        ),
        (["roberta.embeddings.word_embeddings.weight", "lm_head.bias", "lm_head.dense.weight"], "lm_head"),
    ],
)
def test_the_tied_head_of_a_masked_language_model_is_its_words(names, head):
    config = {"tie_word_embeddings": True}
    words = next(name for name in names if "word_embeddings" in name)
    aliases = tied_heads(config, names)
    assert aliases == {f"{head}.decoder.weight": words, f"{head}.decoder.bias": f"{head}.bias"}
    shapes = {name: (4,) if name.endswith("bias") else (8, 4) for name in names}
    tied = Fake("a", {name: ArrayRef(name, shape) for name, shape in shapes.items()}, config=config, aliases=aliases)
    own = {**shapes, f"{head}.decoder.weight": (8, 4)}
    stored = Fake("b", {name: ArrayRef(name, shape) for name, shape in own.items()}, config=config)
    plan = planned(LINEAR, tied, stored)
    assert plan.dropped == {f"b: {head}.decoder.weight": f"tied to {words} in 'a'"}
    untied = Fake("a", dict(stored), config={"tie_word_embeddings": False})
    plan = planned(LINEAR, untied, Fake("b", dict(tied), config=config, aliases=aliases))
    assert [ref.name for ref in tensor(plan, f"{head}.decoder.weight").inputs] == [f"{head}.decoder.weight", words]


def test_a_merge_that_merges_nothing_is_warned_of():
    text = "merge_method: task_arithmetic\nbase_model: base\nmissing: base\nmodels: [a]\n"
    other = Fake("a", {"x": ArrayRef("x", (2,))})
    assert "no tensor is merged: the result is a copy of parts of 'base'" in planned(text, llama("base"), other).warnings
    assert not any("no tensor is merged" in w for w in planned(text, llama("base"), llama("a")).warnings)


@pytest.mark.parametrize(
    ("cut", "stacks", "first", "last"),
    [
        ("text.layers", ["text.layers", "vision.layers"], ["vision.head.w"], ["text.norm.w", "text_projection.w"]),
        ("vision.layers", ["text.layers", "vision.layers"], ["vision.embeddings.w"], ["text.embeddings.w"]),
        ("vit.layer", ["vit.layer", "bbox.layers"], ["vit.embeddings.w"], ["vit.norm.w", "bbox.layers.0.w", "labels.w"]),
        ("w.encoder.layers", ["w.feature_extractor.conv", "w.encoder.layers", "w.adapter.layers"],
         ["w.feature_extractor.conv.0.w", "w.feature_projection.w"], ["w.encoder.norm.w", "projector.w", "w.adapter.layers.0.w"]),
        ("model.language_model.layers", ["model.language_model.layers", "model.visual.blocks"],
         ["model.visual.merger.norm.w", "model.projector.attn.multihead_attn.w"], ["model.language_model.norm.w", "lm_head.w"]),
        ("model.layers", ["model.layers", "model.vision.layers"], ["model.vision.norm.w", "model.connector.w"], ["model.norm.w"]),
        ("model.layers", ["model.layers", "mtp.layers"], ["model.embed_tokens.w"], ["model.norm.w", "mtp.embed_tokens.w", "lm_head.w"]),
        ("t.vision_model.layers", ["t.vision_model.layers"], ["t.vision_model.embeddings.w"], ["t.vision_model.post_norm.w"]),
        ("layers", ["layers"], ["embed.w"], ["norm.w"]),
    ],
)  # fmt: skip
def test_towers_stay_whole_and_ends_stay_with_their_slice(cut, stacks, first, last):
    assert [goes_first(name, cut, stacks) for name in (*first, *last)] == [True] * len(first) + [False] * len(last)


def test_a_module_is_cut_without_regard_to_the_others():
    tower = {f"vision_tower.layers.{i}.w": ((4, 4), "BF16") for i in range(2)}
    tower |= {f"vision_tower.{name}.w": ((4,), "BF16") for name in ("embeddings", "post_layernorm")}
    vision = "{slices: [{sources: [{model: a, layer_range: [0, 1]}]}, {sources: [{model: b, layer_range: [1, 2]}]}]}"
    text = f"merge_method: passthrough\nmodules:\n  vision_tower: {vision}\n  model: {{models: [a]}}\n  lm_head: {{models: [a]}}\n"
    plan = planned(text, llama("a", extra=tower), llama("b", extra=tower))
    assert tensor(plan, "vision_tower.post_layernorm.w").labels == ("b",) and tensor(plan, "vision_tower.embeddings.w").labels == ("a",)
    assert plan.dropped["b: vision_tower.embeddings.w"] == "comes from the models of the first slice"
