"""Layer structure from names, and what a config says of it."""

from __future__ import annotations

import pytest

from modelweave.checkpoints.layers import comes_before_layers, find_layout, main_stack, module_prefix
from modelweave.errors import CompatibilityError
from modelweave.recipes.planning.layer_config import declared_layers, kinds_by_position, layers_key, with_layers

T5 = [f"{side}.block.{i}.layer.{j}.weight" for side in ("encoder", "decoder") for i in range(3) for j in range(2)] + ["shared.weight"]


def test_two_stacks_and_numbers_further_right_belong_to_the_layer():
    layout = find_layout(T5)
    assert dict(layout.stacks) == {"encoder.block": 3, "decoder.block": 3}
    assert layout.places["decoder.block.2.layer.1.weight"] == ("decoder.block", 2, "layer.1.weight")
    assert layout.places["decoder.block.2.layer.1.weight"].name == "decoder.block.2.layer.1.weight"


def test_holes_are_no_stack():
    assert find_layout(["mlp.0.weight", "mlp.2.weight", "mlp.4.weight"]).stacks == {}
    assert find_layout(["layers.1.weight", "layers.2.weight"]).stacks == {}


def test_one_layer_of_experts_is_a_layer_not_a_stack_of_experts():
    names = [f"model.layers.0.mlp.experts.{i}.up.weight" for i in range(8)]
    assert dict(find_layout(names).stacks) == {"model.layers": 1}


def test_one_numbered_part_in_front_of_the_layers_is_passed():
    names = [f"0.auto_model.encoder.layer.{i}.weight" for i in range(3)] + ["2.linear.weight"]
    assert dict(find_layout(names).stacks) == {"0.auto_model.encoder.layer": 3}


def test_plain_sequences_have_an_empty_prefix():
    layout = find_layout(["0.weight", "1.weight"])
    assert dict(layout.stacks) == {"": 2}
    assert layout.places["1.weight"].name == "1.weight"


def test_the_config_chooses_among_stacks():
    names = [f"model.layers.{i}.w" for i in range(4)] + [f"mtp.layers.{i}.w" for i in range(2)]
    assert main_stack(find_layout(names), 4, "m") == "model.layers"
    with pytest.raises(CompatibilityError, match=r"model 'm': slices need one stack.*model.layers \(4 layers\), mtp.layers \(2 layers\)"):
        main_stack(find_layout(names), None, "m")
    with pytest.raises(CompatibilityError, match=r"config.json says 9 layers"):
        main_stack(find_layout(names), 9, "m")
    with pytest.raises(CompatibilityError, match="tensor names have none"):
        main_stack(find_layout(["weight"]), None, "m")


def test_mappings_by_the_number_of_a_layer_are_renumbered():
    config = {"n": 4, "per_layer_config": {"1": {"dim": 1}, "3": {"dim": 3}}, "id2label": {"0": "a", "1": "b"}, "class_weights": {"0": 1}}
    other = {**config, "per_layer_config": {"2": {"dim": 2}}}
    found = with_layers(config, ("n",), [(config, 0, 2), (other, 1, 4)])
    assert found == {**config, "n": 5, "per_layer_config": {"1": {"dim": 1}, "3": {"dim": 2}}}


SHARED_KEYS = ("hidden_size_per_layer_input", "num_kv_shared_layers")


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"max_window_layers": 2, "use_sliding_window": True}, ("max_window_layers",)),
        ({"max_window_layers": 2, "use_sliding_window": False}, ()),
        ({"block_types": ["recurrent", "attention"]}, ("block_types",)),
        ({"model_type": "gemma2", "sliding_window": 4096}, ("sliding_window",)),
        ({"model_type": "gemma2", "layer_types": ["a"] * 4}, ()),
        ({"layer_types": ["a"] * 4, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2}, SHARED_KEYS),
    ],
)
def test_kinds_that_hang_on_a_layers_number(config, keys):
    config = {"num_hidden_layers": 4, **config}
    assert kinds_by_position(config, ("num_hidden_layers",), [(config, 0, 2), (config, 1, 4)]) == keys
    assert kinds_by_position(config, ("num_hidden_layers",), [(config, 0, 4)]) == ()
    by_two = kinds_by_position(config, ("num_hidden_layers",), [(config, 2, 4), (config, 0, 2)])
    assert by_two == (() if keys == ("sliding_window",) else keys)


def test_what_comes_before_the_layers():
    before = [
        "model.altup_projections.0.weight",
        "model.per_layer_model_projection.weight",
        "model.per_layer_projection_norm.weight",
        "model.embed_tokens.weight",
        "transformer.wte.weight",
        "transformer.wpe.weight",
        "shared.weight",
        "vit.embeddings.cls_token",
    ]
    after = [
        "model.altup_unembed_projections.0.weight",
        "model.embedding_norm.weight",
        "model.norm.weight",
        "lm_head.weight",
        "embed_out.weight",
        "transformer.ln_f.bias",
        "classifier.weight",
        "bert.pooler.dense.bias",
    ]
    assert all(map(comes_before_layers, before))
    assert not any(map(comes_before_layers, after))


def test_modules_by_word_prefix_or_mergekits_name():
    names = ["model.language_model.layers.0.w", "model.visual.blocks.0.w", "lm_head.weight"]
    assert module_prefix("default", names) == ""
    assert module_prefix("model.visual", names) == "model.visual."
    assert module_prefix("text_decoder", names) == "model.language_model."
    assert module_prefix("vision_tower", names) == "model.visual."
    assert module_prefix("audio", names) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"num_hidden_layers": 40}, 40),
        ({"n_layer": 12}, 12),
        ({"text_config": {"num_hidden_layers": 5}, "vision_config": {"depth": 7}}, 5),
        ({"hidden_size": 4}, None),
        (None, None),
        ({"num_hidden_layers": True}, None),
    ],
)
def test_declared_layers(config, expected):
    assert declared_layers(config) == expected


def test_the_entry_that_counts_a_stack():
    both = {"num_layers": 6, "num_decoder_layers": 6}
    assert layers_key(both, "encoder.block", 6) == ("num_layers",)
    assert layers_key(both, "decoder.block", 6) == ("num_decoder_layers",)
    multi = {"text_config": {"num_hidden_layers": 4}, "vision_config": {"depth": 4, "num_hidden_layers": 4}}
    assert layers_key(multi, "model.language_model.layers", 4) == ("text_config", "num_hidden_layers")
    assert layers_key(multi, "model.visual.blocks", 4)[0] == "vision_config"
    assert layers_key({"n_layer": 3}, "h", 4) is None


def test_lists_of_one_entry_a_layer_are_put_together_alike():
    one = {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "other": [1, 2]}
    two = {"num_hidden_layers": 4, "layer_types": ["w", "x", "y", "z"]}
    result = with_layers(one, ("num_hidden_layers",), [(one, 0, 2), (two, 1, 4), (None, 2, 3)])
    assert result == {"num_hidden_layers": 6, "layer_types": ["a", "b", "x", "y", "z", "c"], "other": [1, 2]}
    assert one["num_hidden_layers"] == 3
