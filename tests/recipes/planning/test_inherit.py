"""What the result inherits beside the weights: files, chat template, licence, config; and warnings about configs that differ."""

from __future__ import annotations

import json

import jinja2
import pytest

from modelweave.errors import CompatibilityError
from modelweave.recipes.planning.inherit import inherited_files, licence_of
from modelweave.recipes.tokenizer.chat_template import TEMPLATES, chat_template_text, template_of, with_chat_template

from ..helpers import Fake, llama, planned, tensor

LINEAR = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"


def card(licence: str) -> dict[str, bytes]:
    return {"README.md": f"---\nlicense: {licence}\ntags: [x]\n---\n# Text\n".encode()}


KEPT = (
    "generation_config.json tokenizer.json tokenizer.model merges.txt LICENSE chat_template.jinja preprocessor_config.json modeling_own.py"
)
LEFT = (
    "config.json README.md model.safetensors.index.json modelweave.json mergekit_config.yml training_args.bin optimizer.pt "
    "trainer_state.json picture.png"
)


def test_files_of_the_donor_without_weights_card_and_config():
    donor = llama("a", files=dict.fromkeys([*KEPT.split(), *LEFT.split()], b"{}"))
    assert sorted(inherited_files(donor)) == sorted(KEPT.split())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (card("mit"), "mit"),
        (card("[mit]"), "mit"),
        (card("[mit, apache-2.0]"), None),
        (card("7"), None),
        ({"README.md": b"# no front matter"}, None),
        ({"README.md": b"---\nlicense: mit"}, None),
        ({"README.md": b"---\n- a\n---\n"}, None),
        ({"README.md": b"---\nlicense: [\n---\n"}, None),
        ({"README.md": b"\xff\xfe\x00"}, None),
    ],
)
def test_the_licence_of_a_card(files, expected):
    assert licence_of(Fake("a", {}, files)) == expected


def test_chat_templates_render():
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "So"}]
    texts = {
        name: jinja2.Template(text).render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
        for name, text in TEMPLATES.items()
    }
    assert texts["chatml"] == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n<|im_start|>user\nSo<|im_end|>\n<|im_start|>assistant\n"
    )
    assert texts["alpaca"] == "### Instruction:\nHi\n\n### Response:\nYes</s>\n\n### Instruction:\nSo\n\n### Response:\n"
    assert texts["llama3"] == (
        "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYes<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nSo<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert texts["mistral"] == "<s> [INST] Hi [/INST] Yes</s> [INST] So [/INST]"
    assert texts["exaone"] == "[|system|][|endofturn|]\n[|user|]Hi\n[|assistant|]Yes[|endofturn|]\n[|user|]So\n[|assistant|]"


def test_auto_takes_the_most_frequent_template():
    jinja = Fake("a", {}, {"chat_template.jinja": b"{{ one }}\n"})
    inside = Fake("b", {}, {"tokenizer_config.json": json.dumps({"chat_template": "{{ two }}"}).encode()})
    listed = {"chat_template": [{"name": "tool", "template": "{{ x }}"}, {"name": "default", "template": "{{ two }}"}]}
    several = Fake("c", {}, {"tokenizer_config.json": json.dumps(listed).encode()})
    assert [template_of(c) for c in (jinja, inside, several)] == ["{{ one }}", "{{ two }}", "{{ two }}"]
    assert chat_template_text("auto", [jinja, inside, several]) == "{{ two }}"
    assert chat_template_text("auto", [Fake("d", {}, {"tokenizer_config.json": b"no json"})]) is None
    assert chat_template_text("{{ mine }}", []) == "{{ mine }}"


def test_a_template_is_written_in_both_places():
    files = with_chat_template({"tokenizer_config.json": b'{"x": 1}', "chat_template.json": b"{}"}, "{{ t }}")
    assert files["chat_template.jinja"] == b"{{ t }}"
    assert json.loads(files["tokenizer_config.json"]) == {"x": 1, "chat_template": "{{ t }}"}
    assert "chat_template.json" not in files
    plan = planned(LINEAR + "chat_template: chatml", llama("a", files={"tokenizer_config.json": b"{}"}), llama("b"))
    assert plan.side_files["chat_template.jinja"].decode() == TEMPLATES["chatml"]


def test_differences_that_shapes_do_not_show_are_mentioned():
    plan = planned(LINEAR, llama("a", config={"rope_theta": 1e4, "num_attention_heads": 2}), llama("b", config={"rope_theta": 5e5}))
    assert plan.warnings == ("model 'b': config rope_theta is 500000.0, 'a' has 10000.0, which the result keeps",)


def test_the_config_gets_dtype_and_architecture():
    text = LINEAR.replace("{model: a}", "{model: {model: a, override_architecture: Other}}") + "out_dtype: float16"
    plan = planned(text, llama("a", config={"text_config": {"dtype": "float32"}}), llama("b"))
    assert plan.config["torch_dtype"] == "float16"
    assert plan.config["text_config"]["dtype"] == "float16"
    assert plan.config["architectures"] == ["Other"]


def test_inputs_without_config_or_files():
    a, b = llama("a"), llama("b")
    a.config = b.config = None
    plan = planned(LINEAR + "chat_template: auto", a, b)
    assert plan.config is None and plan.side_files == {}
    assert plan.warnings == ("chat_template: no input has one, the result has none",)
    assert tensor(plan, "model.norm.weight").labels == ("a", "b")


def tokens(*words: str) -> dict[str, bytes]:
    model = {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": words[0]}
    return {"tokenizer.json": json.dumps({"version": "1.0", "added_tokens": [], "model": model}).encode()}


def test_vocabularies_are_aligned_when_asked():
    a = llama("a", rows=3, files=tokens("x", "y", "z"))
    b = llama("b", rows=4, files=tokens("x", "z", "y", "w"))
    plan = planned(LINEAR + "tokenizer: {source: union}", a, b)
    assert tensor(plan, "model.embed_tokens.weight").shape == tensor(plan, "lm_head.weight").shape == (4, 4)
    assert plan.config["vocab_size"] == 4
    assert set(json.loads(plan.side_files["tokenizer.json"])["model"]["vocab"]) | {
        t["content"] for t in json.loads(plan.side_files["tokenizer.json"])["added_tokens"]
    } == {"w", "x", "y", "z"}
    assert tensor(plan, "model.norm.weight").shape == (4,)
    assert plan.dropped == {}


def test_vocabularies_of_equal_size_that_differ_in_a_few_rows_are_mentioned():
    words = [f"w{i}" for i in range(200)]
    plan = planned(LINEAR, llama("a", rows=200, files=tokens(*words)), llama("b", rows=200, files=tokens(words[1], words[0], *words[2:])))
    assert len(plan.warnings) == 1 and "tokenizers of 'a' and 'b' differ" in plan.warnings[0]


def test_different_vocabularies_of_equal_size_are_refused_without_a_policy():
    models = llama("a", rows=3, files=tokens("x", "y", "z")), llama("b", rows=3, files=tokens("x", "z", "y"))
    with pytest.raises(CompatibilityError, match=r"model 'b': its vocabulary differs .*2 of 3 rows.*set tokenizer_source to 'union'"):
        planned(LINEAR, *models)
    assert planned(LINEAR + "tokenizer_source: union", *models).tensors
